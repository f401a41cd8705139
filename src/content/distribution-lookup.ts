import { LRUCache } from 'lru-cache';
import type { Pool } from 'pg';

import { GroupedLookups } from './grouped-lookups';
import { VersionGone } from './version-gone';

/** A complete version, which never changes. */
export interface ServedVersion {
  readonly id: string;
  readonly repositoryId: string;
  readonly number: number;
}

/** A distribution as it is now. */
export interface ServedDistribution {
  readonly id: string;
  readonly basePath: string;
  readonly guard: 'token' | 'certificate' | null;
  readonly clientCa: string | null;
  /** Absent where there is none: its version was deleted, or its repository has none that is complete. */
  readonly version: ServedVersion | undefined;
}

interface Row extends Omit<ServedDistribution, 'version'> {
  readonly place: number;
  readonly versionId: string | null;
  readonly repositoryId: string;
  readonly number: number;
}

/** Finds the distribution that a path lies in, and what it serves at this moment: nothing of that is remembered. */
export class DistributionLookup {
  private readonly lookups: GroupedLookups<string, ServedDistribution>;
  /** Paths below the same base path are looked up as one; that it is still a base path, the answer says. */
  private readonly lastFound = new LRUCache<string, ServedDistribution>({ max: 10_000 });
  /** Characters of the longest base path that was found: what is longer is none that is remembered. */
  private longest = 0;

  constructor(private readonly pool: Pool) {
    this.lookups = new GroupedLookups(async (paths) => {
      const { rows } = await pool.query<Row>({ name: 'distributions', text: distributionsOf, values: [paths] });
      const found: (ServedDistribution | undefined)[] = paths.map(() => undefined);
      for (const { place, versionId, repositoryId, number, ...distribution } of rows) {
        const version = versionId === null ? undefined : { id: versionId, repositoryId, number };
        found[place - 1] = { ...distribution, version };
      }
      return found;
    });
  }

  /** @param path - a base path and what is below it */
  async find(path: string): Promise<ServedDistribution | undefined> {
    const basePath = this.guess(path)?.basePath;
    if (basePath !== undefined) {
      const found = await this.look(basePath);
      if (found?.basePath === basePath) return found;
      this.lastFound.delete(basePath);
    }
    return this.look(path);
  }

  /**
   * To be called where nothing was found in a version: one that was deleted since it was found holds nothing.
   *
   * @throws {@link VersionGone}
   */
  async requireVersion({ id, repositoryId, number }: ServedVersion): Promise<void> {
    const { rows } = await this.pool.query({
      name: 'version',
      text: 'select from repository_versions where id = $1',
      values: [id],
    });
    if (rows.length === 0) throw new VersionGone(repositoryId, number);
  }

  /** What was found last, and is right as long as nobody has changed anything: to begin with what may be needed next. */
  guess(path: string): ServedDistribution | undefined {
    for (let end = path.indexOf('/'); end !== -1 && end <= this.longest; end = path.indexOf('/', end + 1)) {
      const found = this.lastFound.get(path.slice(0, end));
      if (found) return found;
    }
    return this.lastFound.get(path);
  }

  private async look(path: string): Promise<ServedDistribution | undefined> {
    const found = await this.lookups.find(path, path);
    if (found) {
      this.lastFound.set(found.basePath, found);
      this.longest = Math.max(this.longest, found.basePath.length);
    }
    return found;
  }
}

/** No two base paths overlap, so that the range of one at most holds a path; the index of that rule finds it. */
const distributionsOf = `
  select wanted.place::integer, distribution.id, distribution.base_path as "basePath", distribution.guard,
         distribution.client_ca as "clientCa", version.id as "versionId", version.repository_id as "repositoryId",
         version.number
    from unnest($1::text[]) with ordinality as wanted (path, place)
    join distributions distribution
      on path_range(distribution.base_path || '/', distribution.base_path || '0') @> (wanted.path || '/') collate "C"
    left join lateral (
      (select id, repository_id, number from repository_versions
        where repository_id = distribution.repository_id and complete
        order by number desc limit 1)
      union all
      (select id, repository_id, number from repository_versions where id = distribution.version_id and complete)
    ) version on true`;
