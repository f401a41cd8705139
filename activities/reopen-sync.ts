import type { Pool } from 'pg';

import { currentFence, currentWorkflow } from './current-workflow';

/**
 * Lets a sync go on that had stopped, where its workflow was reset to a point before that: nothing but such a run schedules
 * an activity after the one that has noted the end.
 *
 * @returns whether it runs now
 */
export async function reopenAfterReset(pool: Pool, syncId: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `update syncs set state = 'running', finished_at = null, error = null, run_id = $3, fence = $2
      where id = $1 and state in ('failed', 'canceled') and fence < $2 and run_id <> $3`,
    [syncId, currentFence(), currentWorkflow().runId],
  );
  return rowCount === 1;
}
