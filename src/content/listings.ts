import type { Pool } from 'pg';

import type { ServedVersion } from './distribution-lookup';

/** A line of a listing. */
export interface ListedEntry {
  /** Below the folder; that of a folder without its slash. */
  readonly name: string;
  readonly type: 'directory' | 'file';
  /** Bytes; null where nobody knows, and for folders. */
  readonly size: number | null;
  readonly sha256: string | null;
  readonly lastModified: Date | null;
}

/** A part of what a folder holds, in the byte order of the names. */
export interface ListingPage {
  readonly entries: readonly ListedEntry[];
  /** Where the next page begins; absent at the end. */
  readonly next: string | undefined;
}

interface Row {
  readonly name: string;
  readonly folder: boolean;
  readonly size: number | null;
  readonly sha256: string | null;
  readonly lastModified: Date | null;
}

export const pageSize = 2000;
/** Contents of a version that is read whole for a listing; one with more is walked along the index of all paths. */
const smallVersion = 10_000;
/** Listings that are made at once: they take longer than the look-ups of files, which they must not keep from the connections. */
const mostAtOnce = 3;

/** Lists the folders of versions: those are nothing but the beginnings of paths. */
export class Listings {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly pool: Pool) {}

  /**
   * Nothing is found in a version that was deleted meanwhile.
   *
   * @param folder - `''`, or a path that ends with a slash
   * @param after - where to go on: the name of a file, or that of a folder with its slash
   */
  async page(version: ServedVersion, folder: string, after?: string, size = pageSize): Promise<ListingPage> {
    const rows = await this.inTurn(async () => {
      const small = await this.isSmall(version);
      const text = small ? entriesOfSmall : entriesOfLarge;
      const values = [version.repositoryId, version.number, folder, folder + firstAfter(after), size + 1, version.id];
      return (await this.pool.query<Row>({ name: small ? 'small listing' : 'large listing', text, values })).rows;
    });
    const entries = rows.slice(0, size).map(({ folder: isFolder, ...entry }) => ({
      ...entry,
      type: isFolder ? ('directory' as const) : ('file' as const),
    }));
    const last = entries.at(-1);
    const more = rows.length > size && last;
    return { entries, next: more ? last.name + (last.type === 'directory' ? '/' : '') : undefined };
  }

  /** Whether a version holds anything below a path, which has no slash at its end. */
  async isFolder(version: ServedVersion, path: string): Promise<boolean> {
    const { rows } = await this.pool.query({ name: 'anything below', text: anythingBelow, values: [path] });
    return rows.length > 0 && (await this.page(version, `${path}/`, undefined, 1)).entries.length > 0;
  }

  private async isSmall({ id }: ServedVersion): Promise<boolean> {
    const { rows } = await this.pool.query<{ present: number }>({
      name: 'size of version',
      text: 'select coalesce(sum(present), 0)::float8 as present from repository_version_counts where version_id = $1',
      values: [id],
    });
    return (rows[0]?.present ?? 0) <= smallVersion;
  }

  private async inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.running >= mostAtOnce) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.running += 1;
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.running -= 1;
    }
  }
}

/** The least text that comes after all that belongs to an entry: "0" is the character after the slash. */
function firstAfter(name: string | undefined): string {
  if (name === undefined) return '';
  return name.endsWith('/') ? `${name.slice(0, -1)}0` : `${name}\u0001`;
}

/** The end of what begins with a folder's path, which for the top is after every path. */
const end = `case when $3 = '' then U&'\\+10FFFF' else left($3, -1) || '0' end`;

const anythingBelow = `
  select from content_artifacts
   where relative_path >= ($1 || '/') collate "C" and relative_path < ($1 || '0') collate "C" limit 1`;

/** In the same snapshot as what is read: of a version that was deleted, the numbers belong to what others hold. */
const isThere = '(select true from repository_versions where id = $6)';

/**
 * Whether the version $2 of the repository $1 holds a content. It is asked for one content at a time: joined, PostgreSQL may begin with
 * all contents of the repository at each step.
 */
const isHeld = (content: string) => `
  (select true from repository_contents held
    where held.repository_id = $1 and held.content_id = ${content}
      and held.version_added <= $2 and (held.version_removed is null or held.version_removed > $2)
    limit 1)`;

/** Adds what is known of the files of one page. */
const describe = `
  select entry.name, entry.folder, file.size, file.sha256, file."lastModified"
    from entries entry
    left join lateral (
      select coalesce(artifact.size, source.size)::float8 as size, coalesce(artifact.sha256, source.sha256) as sha256,
             content.created_at as "lastModified"
        from (select id, content_id, artifact_id from content_artifacts
               where relative_path = ($3 || entry.name) collate "C"
              offset 0) attached
        join contents content on content.id = attached.content_id
        left join artifacts artifact on artifact.id = attached.artifact_id
        left join lateral (
          select size, sha256 from remote_artifacts
           where content_artifact_id = attached.id and attached.artifact_id is null
           order by id limit 1
        ) source on true
       where not entry.folder and ${isHeld('attached.content_id')}
       order by attached.content_id desc
       limit 1
    ) file on true
   order by (entry.name || case when entry.folder then '/' else '' end) collate "C"`;

/**
 * A walk along the index of all paths, from entry to entry: each step finds the next path that the version holds, and goes on
 * after it, or after all that is below it where it lies in a folder.
 */
const entriesOfLarge = `
  with recursive walk as (
    select null::text as name, null::boolean as folder, $4::text as next where ${isThere}
    union all
    select case when step.slash = 0 then step.rest else left(step.rest, step.slash - 1) end, step.slash > 0,
           $3 || case when step.slash = 0 then step.rest || chr(1) else left(step.rest, step.slash - 1) || '0' end
      from walk cross join lateral (
        select found.rest, strpos(found.rest, '/') as slash
          from (select substr(attached.relative_path, length($3) + 1) as rest
                  from content_artifacts attached
                 where attached.relative_path >= walk.next collate "C"
                   and attached.relative_path < (${end}) collate "C"
                   and ${isHeld('attached.content_id')}
                 order by attached.relative_path collate "C"
                 limit 1) found
      ) step
  ), entries as (
    select name, folder from walk where name is not null limit $5
  )${describe}`;

/** From the contents of the version: others may have any number of files below the same folder. */
const entriesOfSmall = `
  with paths as (
    select substr(attached.relative_path, length($3) + 1) as rest
      from (select content_id from repository_contents
             where repository_id = $1 and version_added <= $2 and (version_removed is null or version_removed > $2)
               and ${isThere}
            offset 0) held
     cross join lateral (
       select relative_path from content_artifacts
        where content_id = held.content_id
          and relative_path >= $4 collate "C" and relative_path < (${end}) collate "C"
       offset 0
     ) attached
  ), entries as (
    select split_part(entry, '/', 1) as name, entry like '%/' as folder
      from (select distinct case when rest like '%/%' then split_part(rest, '/', 1) || '/' else rest end as entry
              from paths) each
     order by entry collate "C" limit $5
  )${describe}`;
