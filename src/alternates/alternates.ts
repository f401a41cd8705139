import type { Pool } from 'pg';

import { inTransaction } from '../models/database';
import type { Queryable } from '../models/database';
import type { SyncFailure } from '../models/sync-models';
import { InUse, RemoteNotFound } from '../repositories/errors';
import { checkName } from '../repositories/names';
import { AlternateExists, AlternateNotFound } from './errors';
import { checkPaths } from './metadata-url';
import { removeArtifactsOf } from './refreshes';

/** An alternate content source as it is shown. */
export interface AlternateView {
  readonly name: string;
  readonly remote: string;
  /** Of metadata, below the url of the remote; empty: that url itself. */
  readonly paths: readonly string[];
  /** Files that it is known to have. */
  readonly artifacts: number;
  /** When a refresh that found these has ended. */
  readonly lastRefreshed: Date | null;
  /** It has failed again and again, and is left alone until then. */
  readonly failedUntil: Date | null;
  /** The newest refresh, however it has ended. */
  readonly lastRefresh: {
    readonly state: string;
    readonly startedAt: string;
    readonly error: SyncFailure | null;
  } | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** @throws {@link InvalidValue}, {@link RemoteNotFound}, {@link AlternateExists}, {@link InUse} where the remote has one already */
export async function createAlternate(
  pool: Pool,
  { name, remote, paths }: { readonly name: string; readonly remote: string; readonly paths: readonly string[] },
): Promise<void> {
  checkName('alternate content source', name);
  checkPaths(paths);
  await inTransaction(pool, async (client) => {
    const remoteId = await remoteFor(client, name, remote);
    const { rowCount } = await client.query(
      `insert into alternate_content_sources (name, remote_id, paths) values ($1, $2, $3) on conflict (name) do nothing`,
      [name, remoteId, paths],
    );
    if (rowCount === 0) throw new AlternateExists(name);
  });
}

/**
 * Changes an alternate content source. Of another remote nothing is known before its first refresh; other paths count from the
 * next refresh on.
 *
 * @throws {@link InvalidValue}, {@link AlternateNotFound}, {@link RemoteNotFound}, {@link InUse} where the remote has one already
 */
export async function updateAlternate(
  pool: Pool,
  name: string,
  { remote, paths }: { readonly remote?: string | undefined; readonly paths?: readonly string[] | undefined },
): Promise<void> {
  if (paths) checkPaths(paths);
  await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ id: string; remoteId: string }>(
      'select id, remote_id as "remoteId" from alternate_content_sources where name = $1 for update',
      [name],
    );
    const [found] = rows;
    if (!found) throw new AlternateNotFound(name);
    const remoteId = remote === undefined ? found.remoteId : await remoteFor(client, name, remote);
    await client.query(
      `update alternate_content_sources
          set remote_id = $2::bigint, paths = coalesce($3::text[], paths), updated_at = now(),
              refresh_id = case when remote_id = $2 then refresh_id end,
              last_refreshed = case when remote_id = $2 then last_refreshed end,
              failed_until = case when remote_id = $2 then failed_until end
        where id = $1`,
      [found.id, remoteId, paths],
    );
    if (remoteId === found.remoteId) return;
    // What it finds out is of the remote before; its next write is refused.
    await client.query(
      `update alternate_refreshes set state = 'canceled', finished_at = now() where source_id = $1 and state = 'running'`,
      [found.id],
    );
  });
}

/** Deletes an alternate content source; what is begun after that does not ask it. @throws {@link AlternateNotFound} */
export async function deleteAlternate(pool: Pool, name: string): Promise<void> {
  const { rows } = await pool.query<{ id: string }>(
    'update alternate_content_sources set refresh_id = null, last_refreshed = null where name = $1 returning id',
    [name],
  );
  const [found] = rows;
  if (!found) throw new AlternateNotFound(name);
  await removeArtifactsOf(pool, found.id);
  await pool.query('delete from alternate_content_sources where id = $1', [found.id]);
}

/** All of them, or the one with a name, in the order of their names. */
export async function listAlternates(pool: Queryable, name: string | null = null): Promise<AlternateView[]> {
  const { rows } = await pool.query<AlternateView>(
    `select source.name, remote.name as remote, source.paths, coalesce(known.artifacts, 0)::float8 as artifacts,
            source.last_refreshed as "lastRefreshed",
            case when source.failed_until > now() then source.failed_until end as "failedUntil",
            newest.refresh as "lastRefresh", source.created_at as "createdAt", source.updated_at as "updatedAt"
       from alternate_content_sources source
       join remotes remote on remote.id = source.remote_id
       left join alternate_refreshes known on known.id = source.refresh_id
       left join lateral (
         select json_build_object('state', state, 'startedAt', started_at, 'error', error) as refresh
           from alternate_refreshes where source_id = source.id order by id desc limit 1) newest on true
      where $1::text is null or source.name = $1
      order by source.name`,
    [name],
  );
  return rows;
}

/** @throws {@link AlternateNotFound} */
export async function viewAlternate(pool: Queryable, name: string): Promise<AlternateView> {
  const [found] = await listAlternates(pool, name);
  if (!found) throw new AlternateNotFound(name);
  return found;
}

async function remoteFor(client: Queryable, name: string, remote: string): Promise<string> {
  const { rows } = await client.query<{ id: string; used: string | null }>(
    `select remote.id, source.name as used
       from remotes remote left join alternate_content_sources source on source.remote_id = remote.id and source.name <> $2
      where remote.name = $1 for update of remote`,
    [remote, name],
  );
  const [found] = rows;
  if (!found) throw new RemoteNotFound(remote);
  if (found.used === null) return found.id;
  throw new InUse(
    `Remote "${remote}" is that of the alternate content source "${found.used}". Give that one more paths, or create another remote.`,
    { remote },
  );
}
