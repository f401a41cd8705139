import { inTransaction } from '../src/models/database';
import { currentFence } from './current-workflow';
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
      // In the order of the stages: batches, and then the sync. It is the fence: of several attempts the latest counts.
      await client.query('select from sync_batches where sync_id = $1 and failed > 0 order by id for update', [syncId]);
      const { rowCount } = await client.query(
        `update syncs set fence = $2 where id = $1 and state = 'running' and fence <= $2`,
        [syncId, currentFence()],
      );
      if (rowCount === 0) return;
      // What was refused is looked at again: the plugin, or what it asks, may have been mended.
      await client.query(
        `update staged_units unit set outcome = null, error = null
           from sync_batches batch
          where batch.sync_id = $1 and batch.failed > 0 and unit.batch_id = batch.id and unit.outcome = 'refused'`,
        [syncId],
      );
      await client.query('update sync_batches set failed = 0 where sync_id = $1 and failed > 0', [syncId]);
    });
    return openNumbers(database.pool, 'sync_batches', syncId);
  };
