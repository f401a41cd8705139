import { LRUCache } from 'lru-cache';
import type { Pool } from 'pg';

import type { ServedVersion } from './distribution-lookup';
import type { FoundFile } from './found-file';
import { GroupedLookups } from './grouped-lookups';

interface Wanted {
  readonly version: ServedVersion;
  readonly path: string;
}

interface Row {
  readonly place: number;
  readonly contentArtifactId: string;
  readonly lastModified: Date;
  readonly sha256: string | null;
  readonly size: number;
}

/** What stored files are remembered with: entries, and bytes as a rough sum. */
const remembered = { max: 100_000, maxSize: 40 * 1024 * 1024 };

/**
 * Finds the files of versions. What a path of a version has led to is remembered where the file is stored, as a version never
 * changes; whoever finds the file gone has it forgotten.
 */
export class FileLookup {
  private readonly stored = new LRUCache<string, FoundFile>({
    ...remembered,
    sizeCalculation: ({ path }) => 400 + 4 * path.length,
  });
  private readonly lookups: GroupedLookups<Wanted, FoundFile>;

  constructor(pool: Pool) {
    this.lookups = new GroupedLookups(async (wanted) => {
      const { rows } = await pool.query<Row>({
        name: 'files',
        text: filesOf,
        values: [
          wanted.map(({ version }) => version.repositoryId),
          wanted.map(({ version }) => version.number),
          wanted.map(({ path }) => path),
          wanted.map(({ version }) => version.id),
        ],
      });
      const found: (FoundFile | undefined)[] = wanted.map(() => undefined);
      for (const { place, sha256, size, ...file } of rows) {
        const path = wanted[place - 1]?.path ?? '';
        found[place - 1] = { ...file, path, stored: sha256 === null ? undefined : { sha256, size } };
      }
      return found;
    });
  }

  /** Nothing is found in a version that was deleted meanwhile. */
  async find(version: ServedVersion, path: string): Promise<FoundFile | undefined> {
    const key = keyOf(version, path);
    const known = this.stored.get(key);
    if (known) return known;
    const found = await this.lookups.find(key, { version, path });
    if (found?.stored) this.stored.set(key, found);
    return found;
  }

  /** To be called where a stored file cannot be read: it may have been given back. */
  forget(version: ServedVersion, path: string): void {
    this.stored.delete(keyOf(version, path));
  }
}

/** By its id, which is never used again, as a number might be by another repository. */
function keyOf({ id }: ServedVersion, path: string): string {
  return `${id}/${path}`;
}

/**
 * The files of one group of requests, each by its path and then by whether the version holds its content: a few look-ups in indexes. The
 * latter is asked for one content at a time, as PostgreSQL, without statistics, might begin a join with all contents of the repository.
 * Where contents of one version share a path, the newest comes last. Of a version that was deleted, the numbers belong to what others hold.
 */
const filesOf = `
  select wanted.place::integer, attached.id as "contentArtifactId", content.created_at as "lastModified",
         artifact.sha256, artifact.size::float8 as size
    from unnest($1::bigint[], $2::integer[], $3::text[], $4::bigint[]) with ordinality as wanted (repository_id, number, path, version_id, place)
    join content_artifacts attached on attached.relative_path = wanted.path collate "C"
    join contents content on content.id = attached.content_id
    left join artifacts artifact on artifact.id = attached.artifact_id
   where (select true from repository_versions where id = wanted.version_id)
     and (select true from repository_contents held
            where held.repository_id = wanted.repository_id and held.content_id = attached.content_id
              and held.version_added <= wanted.number
              and (held.version_removed is null or held.version_removed > wanted.number)
            limit 1)
   order by attached.content_id`;
