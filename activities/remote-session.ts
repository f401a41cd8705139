import type { PoolMember } from '../src/downloads/download-pool';
import { RemoteClient } from '../src/downloads/remote-client';
import type { RemoteConnection } from '../src/downloads/remote';
import type { DownloadObserver } from '../src/downloads/retries';
import type { Database } from '../src/models/database';
import { connectionOf } from '../src/models/remote-secrets';
import { Remote } from '../src/models/repository-models';
import { CannotSync, RemoteChanged } from '../src/models/sync-errors';
import type { RemoteSummary } from '../src/plugins/plugin';
import type { ActivityDependencies } from './dependencies';
import type { DownloadShare } from './stage';

/** A remote that an activity talks to, within its share of the sync's limits. */
export interface RemoteSession {
  readonly remoteId: string;
  readonly connection: RemoteConnection;
  readonly summary: RemoteSummary;
  readonly client: RemoteClient;
  readonly pool: PoolMember;
  /** Counts what is fetched, in a worker. */
  readonly observer?: DownloadObserver;
}

/** One request at a time, for activities that read metadata. */
export const oneRequestAtATime: DownloadShare = { slots: 1, requestsPerSecond: null };

/**
 * Opens the remote of a sync for the time of some work, and closes it after that.
 *
 * @throws {@link RemoteChanged} where its url or policy is another one than when the sync began
 */
export async function withRemote<T>(
  { database, pools, secrets, settings, metrics }: ActivityDependencies,
  syncId: string,
  share: DownloadShare,
  work: (session: RemoteSession) => Promise<T>,
): Promise<T> {
  const remote = await findRemote(database, syncId);
  const configured = connectionOf(remote, secrets);
  // An operator may have given the sync that runs more than its remote has.
  const connection = { ...configured, downloadConcurrency: Math.max(configured.downloadConcurrency, share.most ?? 0) };
  const client = new RemoteClient(connection, settings);
  const pool = pools.join(syncId, share);
  try {
    const observer = metrics.downloadsOf(connection.url);
    return await work({ remoteId: remote.id, connection, summary: summaryOf(remote), client, pool, observer });
  } finally {
    pool.leave();
    await client.close();
  }
}

/** The remote of a sync. @throws {@link RemoteChanged} where its url or policy is another one than when the sync began */
export async function findRemote(database: Pick<Database, 'pool'>, syncId: string): Promise<Remote> {
  const { rows } = await database.pool.query<{ remoteId: string | null; url: string; policy: string }>(
    'select remote_id as "remoteId", url, policy from syncs where id = $1',
    [syncId],
  );
  const remote = await Remote.findByPk(rows[0]?.remoteId ?? undefined);
  if (!remote)
    throw new CannotSync('The remote was deleted while it was synced. Give the repository another one and sync again.');
  // What is staged came from the remote as it was: two upstreams, or two policies, never mix in one version.
  if (rows[0]?.url !== remote.url || rows[0].policy !== remote.policy) throw new RemoteChanged(remote.name);
  return remote;
}

/** What a plugin may know of a remote. */
export function summaryOf({ name, url, policy }: Remote): RemoteSummary {
  return { name, url, policy };
}
