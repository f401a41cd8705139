import { toJsonb } from '../src/models/jsonb';
import type { SyncFailure } from '../src/models/sync-models';
import { currentFence } from './current-workflow';
import type { ActivityDependencies } from './dependencies';
import { notCurrent } from './stage';

/** How a sync stopped before its version was complete. */
export interface CloseSyncInput {
  readonly syncId: string;
  readonly state: 'failed' | 'canceled';
  readonly error: SyncFailure | null;
}

/** Notes that a sync has stopped. Its version and all that it has staged stay, for the next sync to go on with. */
export const closeSync =
  ({ database }: ActivityDependencies) =>
  async ({ syncId, state, error }: CloseSyncInput): Promise<void> => {
    const { rowCount } = await database.pool.query(
      `update syncs set state = $2, error = $3, paused = null, finished_at = now(), fence = $4,
              downloaded = (select coalesce(sum(downloaded), 0) from sync_batches where sync_id = $1),
              downloaded_bytes = (select coalesce(sum(downloaded_bytes), 0) from sync_batches where sync_id = $1)
        where id = $1 and state = 'running' and fence <= $4`,
      [syncId, state, error && toJsonb(error), currentFence()],
    );
    if (rowCount === 1) return;
    const { rows } = await database.pool.query(`select from syncs where id = $1 and state = 'running' and fence > $2`, [
      syncId,
      currentFence(),
    ]);
    if (rows.length > 0) throw notCurrent(`Sync ${syncId}, which has ended,`, true);
  };
