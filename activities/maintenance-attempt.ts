import type { Pool, PoolClient } from 'pg';

import { inTransaction } from '../src/models/database';
import { toJsonb } from '../src/models/jsonb';
import type { SyncFailure } from '../src/models/sync-models';
import { currentFence, currentWorkflow } from './current-workflow';
import { StaleAttempt, notCurrent } from './stage';

/** The tables that hold how far maintenance is. */
export type MaintenanceTable = 'repairs' | 'cleanings' | 'downloads' | 'reclaims' | 'alternate_refreshes';

/** Milliseconds after which an activity comes back, so that its workflow can be paused and canceled between two. */
export const turn = 5000;

/** How maintenance has ended. */
export interface MaintenanceEnd {
  readonly id: string;
  readonly state: 'completed' | 'failed' | 'canceled';
  readonly error: SyncFailure | null;
}

/** One attempt of an activity at maintenance. Its fence is the time at which Temporal scheduled it, as for a stage's. */
export class MaintenanceAttempt {
  private constructor(
    readonly pool: Pool,
    readonly table: MaintenanceTable,
    readonly id: string,
    private readonly fence: number,
  ) {}

  /** Makes this attempt the current one. */
  static async begin(pool: Pool, table: MaintenanceTable, id: string): Promise<MaintenanceAttempt> {
    const fence = currentFence();
    const { rowCount } = await pool.query(
      `update ${table} set fence = $2 where id = $1 and fence <= $2 and state = 'running'`,
      [id, fence],
    );
    if (rowCount === 0) {
      const { rows } = await pool.query(`select from ${table} where id = $1 and state = 'running'`, [id]);
      throw notCurrent(`Row ${id} of ${table}`, rows.length > 0);
    }
    return new MaintenanceAttempt(pool, table, id, fence);
  }

  /**
   * Runs statements in one transaction that holds the row.
   *
   * @param first - a statement that locks what has to be locked before the row
   * @throws {@link StaleAttempt} where this attempt is no longer the current one.
   */
  async transaction<T>(work: (client: PoolClient) => Promise<T>, first?: string): Promise<T> {
    return inTransaction(
      this.pool,
      async (client) => {
        const { rowCount } = await client.query(
          `select from ${this.table} where id = $1 and fence = $2 and state = 'running' for update`,
          [this.id, this.fence],
        );
        if (rowCount === 0) throw new StaleAttempt(`Row ${this.id} of ${this.table}: a later attempt has taken over.`);
        return work(client);
      },
      first,
    );
  }
}

/** Notes that those which this workflow did in earlier runs have ended, as a run that was terminated could not. */
export async function endTerminated(client: PoolClient, table: MaintenanceTable): Promise<void> {
  const { workflowId, runId } = currentWorkflow();
  await client.query(
    `update ${table} set state = 'canceled', finished_at = now()
      where workflow_id = $1 and run_id <> $2 and state = 'running'`,
    [workflowId, runId],
  );
}

/** Notes how maintenance has ended; where it has ended already, nothing. */
export async function endMaintenance(
  pool: Pool,
  table: MaintenanceTable,
  { id, state, error }: MaintenanceEnd,
): Promise<void> {
  await pool.query(
    `update ${table} set state = $2, error = $3, finished_at = now()
      where id = $1 and state = 'running' and fence <= $4`,
    [id, state, error && toJsonb(error), currentFence()],
  );
}
