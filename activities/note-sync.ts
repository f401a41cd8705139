import { toJsonb } from '../src/models/jsonb';
import type { SyncLimits } from '../src/models/sync-models';
import { currentFence } from './current-workflow';
import type { ActivityDependencies } from './dependencies';
import { reopenAfterReset } from './reopen-sync';
import { notCurrent } from './stage';

/** What an operator has done to a sync: only what is given is noted. */
export interface NoteSyncInput {
  readonly syncId: string;
  /** Why it is paused; `null`: it goes on. */
  readonly paused?: string | null;
  readonly limits?: SyncLimits;
}

/** Notes in the sync's row what the workflow alone would know. */
export const noteSync =
  ({ database }: ActivityDependencies) =>
  async ({ syncId, paused, limits }: NoteSyncInput): Promise<void> => {
    const pause = typeof paused === 'string' ? { reason: paused, since: new Date().toISOString() } : null;
    const { rowCount } = await database.pool.query(
      `update syncs
          set fence = $2, paused = case when $3 then $4::jsonb else paused end, limits = coalesce($5::jsonb, limits)
        where id = $1 and state = 'running' and fence <= $2`,
      [syncId, currentFence(), paused !== undefined, pause && toJsonb(pause), limits ? toJsonb(limits) : null],
    );
    if (rowCount === 1) return;
    const { rows } = await database.pool.query<{ running: boolean }>(
      `select state = 'running' as running from syncs where id = $1`,
      [syncId],
    );
    throw notCurrent(`Sync ${syncId}`, rows[0]?.running === true || (await reopenAfterReset(database.pool, syncId)));
  };
