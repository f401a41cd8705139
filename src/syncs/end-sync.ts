import type { Client } from '@temporalio/client';

import type { Database } from '../models/database';
import { inTransaction } from '../models/database';
import { findRepository, refuseWhileSyncing } from '../repositories/repositories';
import { discardSync } from '../staging/discard-sync';
import type { Settings } from '../settings';
import { isStorageAtHand, openStorage } from '../storage/open-storage';
import { metadataPrefix } from '../storage/storage';
import { NotSyncing } from './errors';
import { findRunning } from './sync-workflow';
import type { SyncExecution } from './sync-workflow';

/**
 * Asks the sync of a repository to stop. What it has done stays, and the next sync goes on from there.
 *
 * @throws {@link RepositoryNotFound}, {@link NotSyncing}
 */
export async function cancelSync(client: Client, repository: string): Promise<SyncExecution> {
  await findRepository(repository);
  const running = await findRunning(client, repository);
  if (!running) throw new NotSyncing(`Repository "${repository}" is not being synced.`, { repository });
  await client.workflow.getHandle(running.workflowId).cancel();
  return running;
}

/** An incomplete version that was thrown away. */
export interface DiscardedSync {
  readonly syncId: string;
  readonly version: number;
}

/**
 * Throws the incomplete version of a repository away. Saved contents and artifacts stay and are found again.
 *
 * @returns `undefined` where there is none.
 * @throws {@link RepositoryNotFound}, {@link InUse} while a workflow syncs the repository.
 */
export async function discardOpenSync(
  { client, database, settings }: { readonly client: Client; readonly database: Database; readonly settings: Settings },
  repository: string,
): Promise<DiscardedSync | undefined> {
  const { id } = await findRepository(repository);
  return inTransaction(database.pool, async (transaction) => {
    // A workflow that starts after this check waits for the locks, and then begins anew.
    const { rows } = await transaction.query<DiscardedSync>(
      `select sync.id as "syncId", version.number as version
         from syncs sync join repository_versions version on version.id = sync.version_id
        where sync.repository_id = $1 and sync.state in ('running', 'failed', 'canceled')
          for update of sync, version`,
      [id],
    );
    if (await findRunning(client, repository)) throw refuseWhileSyncing(repository, 'discarded');
    const open = rows[0];
    if (!open) return undefined;
    await discardSync(transaction, open.syncId);
    // Pinned metadata lies in the storage, which is at hand on a machine that also runs a worker. It goes before the commit, after
    // which nobody would know of it any more; where that fails, it is fetched again.
    if (isStorageAtHand(settings)) {
      await (await openStorage(settings)).removeAll(metadataPrefix(open.syncId));
    }
    return open;
  });
}
