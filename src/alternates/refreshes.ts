import type { Pool, PoolClient } from 'pg';

import type { Queryable } from '../models/database';
import type { CheckedArtifact } from '../plugins/declared-unit';

/** How far a refresh is. */
export interface RefreshProgress {
  readonly refreshId: string;
  /** Whether what it has found is in use. */
  readonly over: boolean;
  /** Metadata that is to be read, and that was. */
  readonly paths: number;
  readonly read: number;
  /** Files that can be asked for by their sha256. */
  readonly artifacts: number;
  /** Files whose sha256 is not declared: they are never asked for. */
  readonly withoutSha256: number;
  /** Contents that lead to more, which only their files would tell, and these are not stored here. */
  readonly unexplored: number;
}

/** A refresh at work. */
export interface RefreshRow extends Omit<RefreshProgress, 'over' | 'paths'> {
  readonly sourceId: string;
  readonly name: string;
  readonly remoteId: string;
  /** Each below the url of the remote; null: that url itself. */
  readonly paths: readonly (string | null)[];
}

/** @throws Error where its source was deleted */
export async function readRefresh(pool: Queryable, id: string): Promise<RefreshRow> {
  const { rows } = await pool.query<RefreshRow>(
    `select refresh.id as "refreshId", source.id as "sourceId", source.name, source.remote_id as "remoteId",
            case when cardinality(refresh.paths) = 0 then array[null::text] else refresh.paths end as paths,
            refresh.cursor as read, refresh.artifacts::float8 as artifacts,
            refresh.without_sha256::float8 as "withoutSha256", refresh.unexplored::float8 as unexplored
       from alternate_refreshes refresh join alternate_content_sources source on source.id = refresh.source_id
      where refresh.id = $1`,
    [id],
  );
  if (!rows[0]) throw new Error(`There is no refresh ${id}.`);
  return rows[0];
}

/** Forgets what an earlier attempt has found at the path that comes next: upstream may have changed since. */
export async function beginPath(client: PoolClient, id: string): Promise<void> {
  await client.query(
    `with forgotten as (
       delete from alternate_artifacts artifact using alternate_refreshes refresh
        where refresh.id = $1 and artifact.refresh_id = refresh.id and artifact.path = refresh.cursor returning 1)
     update alternate_refreshes set artifacts = artifacts - (select count(*) from forgotten) where id = $1`,
    [id],
  );
}

/** Urls of a file at most: each costs an attempt before the original is asked. */
const mostUrls = 10;

/** Notes files that the path declares. One that was found already stays as it was found first. */
export async function noteArtifacts(client: PoolClient, id: string, files: readonly CheckedArtifact[]): Promise<void> {
  await client.query(
    `with noted as (
       insert into alternate_artifacts (sha256, refresh_id, path, urls, size)
       select file.sha256, refresh.id, refresh.cursor, array(select jsonb_array_elements_text(file.urls)), file.size
         from alternate_refreshes refresh,
              unnest($2::text[], $3::jsonb[], $4::bigint[]) as file (sha256, urls, size)
        where refresh.id = $1
       on conflict do nothing returning 1)
     update alternate_refreshes set artifacts = artifacts + (select count(*) from noted) where id = $1`,
    [
      id,
      files.map(({ digests }) => digests.sha256),
      files.map(({ urls }) => JSON.stringify(urls.slice(0, mostUrls))),
      files.map(({ size }) => size),
    ],
  );
}

/** Notes that a path has been read to its end. */
export async function endPath(
  client: PoolClient,
  id: string,
  { withoutSha256, unexplored }: Pick<RefreshProgress, 'withoutSha256' | 'unexplored'>,
): Promise<void> {
  await client.query(
    `update alternate_refreshes
        set cursor = cursor + 1, without_sha256 = without_sha256 + $2, unexplored = unexplored + $3 where id = $1`,
    [id, withoutSha256, unexplored],
  );
}

/** From the end of the transaction on, readers see what this refresh has found, and nothing else. */
export async function publish(client: PoolClient, { sourceId, refreshId }: RefreshRow): Promise<void> {
  await client.query(
    `update alternate_content_sources set refresh_id = $2, last_refreshed = now(), failed_until = null where id = $1`,
    [sourceId, refreshId],
  );
}

/** Rows that are removed in one statement. */
const removedAtOnce = 10_000;

/** Removes what refreshes of a source have found; but for the one that is in use. */
export async function removeArtifactsOf(pool: Pool, sourceId: string, signal?: AbortSignal): Promise<void> {
  for (let removed = removedAtOnce; removed === removedAtOnce;) {
    signal?.throwIfAborted();
    const { rowCount } = await pool.query(
      `delete from alternate_artifacts where ctid = any(array(
         select artifact.ctid
           from alternate_content_sources source
           join alternate_refreshes refresh on refresh.source_id = source.id and refresh.id is distinct from source.refresh_id
           join alternate_artifacts artifact on artifact.refresh_id = refresh.id
          where source.id = $1 limit ${removedAtOnce}))`,
      [sourceId],
    );
    removed = rowCount ?? 0;
  }
}
