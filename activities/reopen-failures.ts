import { inTransaction } from '../src/models/database';
import type { ActivityDependencies } from './dependencies';
import { openNumbers } from './open-numbers';
import type { NumberRange } from './open-numbers';

/**
 * Opens the batches again of which something could not be had. Also those that are open or running anyway are named, so that a
 * second attempt, whose first one has done it, says the same.
 */
export const reopenFailures =
  ({ database }: ActivityDependencies) =>
  async ({ syncId }: { readonly syncId: string }): Promise<readonly NumberRange[]> => {
    await inTransaction(database.pool, async (client) => {
      // What was refused is looked at again: the plugin, or what it asks, may have been mended.
      await client.query(
        `update staged_units unit set outcome = null, error = null
           from sync_batches batch join syncs sync on sync.id = batch.sync_id
          where batch.sync_id = $1 and batch.failed > 0 and sync.state = 'running'
            and unit.batch_id = batch.id and unit.outcome = 'refused'`,
        [syncId],
      );
      await client.query(
        `update sync_batches batch set failed = 0 from syncs sync
          where batch.sync_id = $1 and batch.failed > 0 and sync.id = batch.sync_id and sync.state = 'running'`,
        [syncId],
      );
    });
    return openNumbers(database.pool, 'sync_batches', syncId);
  };
