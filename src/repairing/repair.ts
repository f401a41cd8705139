import type { Pool, PoolClient } from 'pg';

import type { ArtifactRow } from '../consistency/artifact-file';
import { digestNames } from '../downloads/digests';

/** How far a repair is. */
export interface RepairProgress {
  readonly repairId: string;
  /** Whether all artifacts were looked at. */
  readonly over: boolean;
  /** Artifacts that there were when it began. */
  readonly total: number;
  readonly checked: number;
  readonly checkedBytes: number;
  /** Without a file. */
  readonly lost: number;
  /** With a file of another size, with other bytes, or one that cannot be read. */
  readonly rotten: number;
  /** Downloaded again. */
  readonly mended: number;
  /** What could not be mended, and is there still. */
  readonly failed: number;
}

/** A repair at work. */
export interface RepairRow extends Omit<RepairProgress, 'over' | 'repairId'> {
  readonly repositoryId: string | null;
  readonly missingOnly: boolean;
  /** The last artifact that was looked at. */
  readonly cursor: string;
}

/** An artifact that could not be mended. */
export interface Unmended {
  readonly artifactId: string;
  readonly kind: 'lost' | 'rotten';
  readonly reason: string;
}

export async function readRepair(pool: Pick<Pool, 'query'>, id: string): Promise<RepairRow> {
  const { rows } = await pool.query<RepairRow>(
    `select repository_id as "repositoryId", missing_only as "missingOnly", cursor, total::float8 as total,
            checked::float8 as checked, checked_bytes::float8 as "checkedBytes", lost::float8 as lost,
            rotten::float8 as rotten, mended::float8 as mended,
            (select count(*)::float8 from repair_failures where repair_id = repairs.id) as failed
       from repairs where id = $1`,
    [id],
  );
  if (!rows[0]) throw new Error(`There is no repair ${id}.`);
  return rows[0];
}

/** Artifacts that are looked at before that is noted: so many, or of so many bytes. */
const pageSize = 1000;
const pageBytes = 1024 ** 3;

/** What a repair looks at: everything, or what the versions of a repository hold. */
const inScope = `
  ($1::bigint is null or exists (
    select from content_artifacts file
      join repository_contents held on held.content_id = file.content_id and held.repository_id = $1
     where file.artifact_id = artifact.id))`;

export const countInScope = `select count(*) from artifacts artifact where ${inScope}`;

/** The next artifacts to look at; at least one, if there is one. */
export async function nextArtifacts(
  pool: Pick<Pool, 'query'>,
  { repositoryId, cursor, missingOnly }: Pick<RepairRow, 'repositoryId' | 'cursor' | 'missingOnly'>,
): Promise<ArtifactRow[]> {
  const { rows } = await pool.query<ArtifactRow>(
    `select id as key, ${digestNames.join(', ')}, size::float8 as size
       from (select page.*, sum(size) over (order by id) - size as bytes
               from (select * from artifacts artifact where id > $2 and ${inScope} order by id limit ${pageSize}) page) page
      where $3 or bytes < ${pageBytes}
      order by id`,
    [repositoryId, cursor, missingOnly],
  );
  return rows;
}

/** Adds a page to what a repair has looked at. */
export async function notePage(
  client: PoolClient,
  id: string,
  page: readonly ArtifactRow[],
  { lost, rotten, mended }: Pick<RepairProgress, 'lost' | 'rotten' | 'mended'>,
): Promise<void> {
  await client.query(
    `update repairs set cursor = $2, checked = checked + $3, checked_bytes = checked_bytes + $4, lost = lost + $5,
            rotten = rotten + $6, mended = mended + $7
      where id = $1`,
    [id, page.at(-1)?.key, page.length, page.reduce((sum, { size }) => sum + size, 0), lost, rotten, mended],
  );
}

/** Notes what could not be mended, with one of its uses, all repositories that hold it, and where it was looked for. */
export async function noteUnmended(client: PoolClient, id: string, unmended: readonly Unmended[]): Promise<void> {
  if (unmended.length === 0) return;
  await client.query(
    `insert into repair_failures (repair_id, artifact_id, kind, reason, content_id, path, repositories, urls)
     select $1, artifact.id, failed.kind, failed.reason, file.content_id, file.relative_path,
            array(select distinct repository.name
                    from content_artifacts each
                    join repository_contents held on held.content_id = each.content_id
                    join repositories repository on repository.id = held.repository_id
                   where each.artifact_id = artifact.id order by repository.name),
            array(select distinct url
                    from content_artifacts each
                    join remote_artifacts source on source.content_artifact_id = each.id, unnest(source.urls) url
                   where each.artifact_id = artifact.id order by url limit 100)
       from unnest($2::bigint[], $3::text[], $4::text[]) as failed (id, kind, reason)
       join artifacts artifact on artifact.id = failed.id
       left join lateral (
         select content_id, relative_path from content_artifacts
          where artifact_id = artifact.id order by content_id, relative_path limit 1) file on true
      order by artifact.id
     on conflict (repair_id, artifact_id) do update set kind = excluded.kind, reason = excluded.reason`,
    [
      id,
      unmended.map(({ artifactId }) => artifactId),
      unmended.map(({ kind }) => kind),
      unmended.map(({ reason }) => reason),
    ],
  );
}

/** Where an artifact can be had. */
export interface ArtifactSource {
  readonly remoteId: string;
  /** Tried in this order. */
  readonly urls: readonly string[];
  /** Asked once for each url, as others have it, too. */
  readonly once?: boolean;
}

/** The sources of artifacts, by their ids. What was removed meanwhile is not in it. */
export async function findSources(
  pool: Pick<Pool, 'query'>,
  ids: readonly string[],
): Promise<ReadonlyMap<string, ArtifactSource[]>> {
  const { rows } = await pool.query<{ id: string; remoteId: string | null; urls: readonly string[] }>(
    `select artifact.id, source.remote_id as "remoteId", source.urls
       from artifacts artifact
       left join lateral (
         select distinct source.remote_id, source.urls
           from content_artifacts file join remote_artifacts source on source.content_artifact_id = file.id
          where file.artifact_id = artifact.id order by source.remote_id, source.urls limit 100) source on true
      where artifact.id = any($1::bigint[])
      order by artifact.id, source.remote_id, source.urls`,
    [ids],
  );
  const sources = new Map<string, ArtifactSource[]>();
  for (const { id, remoteId, urls } of rows) {
    const known = sources.get(id) ?? [];
    sources.set(id, remoteId === null ? known : [...known, { remoteId, urls }]);
  }
  return sources;
}
