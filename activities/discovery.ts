import type { Pool, PoolClient } from 'pg';

import { inTransaction } from '../src/models/database';
import type { CheckedUnit } from '../src/plugins/declared-unit';
import { stageBatch } from '../src/staging/stage-batch';
import { currentFence } from './current-workflow';
import { reopenAfterReset } from './reopen-sync';
import { NotStaged, StaleAttempt, notCurrent } from './stage';

/** What names a discovery: references only. */
export interface DiscoveryReference {
  readonly syncId: string;
  /** The discovery's number in its sync, from 1. */
  readonly discovery: number;
}

interface DiscoveryRow {
  readonly step: string;
  readonly staged: number;
  readonly finished: boolean;
  readonly plugin: string;
}

/** One attempt to run a discovery. Its fence is the time at which Temporal scheduled it, as for a stage's attempt. */
export class DiscoveryAttempt {
  /** Units that are staged: by earlier attempts, and by this one. */
  staged: number;

  private constructor(
    private readonly pool: Pool,
    readonly reference: DiscoveryReference,
    private readonly fence: number,
    readonly row: DiscoveryRow,
  ) {
    this.staged = row.staged;
  }

  /** Makes this attempt the current one. */
  static async begin(pool: Pool, { syncId, discovery }: DiscoveryReference): Promise<DiscoveryAttempt> {
    const fence = currentFence();
    const { rows } = await pool.query<DiscoveryRow>(
      `update sync_discoveries discovery set fence = $3
         from syncs sync join repositories repository on repository.id = sync.repository_id
        where discovery.sync_id = $1 and discovery.number = $2 and discovery.fence <= $3
          and sync.id = discovery.sync_id and sync.state = 'running'
       returning discovery.step, discovery.staged_units::float8 as staged, discovery.finished,
                 repository.type as plugin`,
      [syncId, discovery, fence],
    );
    if (!rows[0]) {
      // One that has come since the update was looked for too early as well.
      const { rows: found } = await pool.query<{ running: boolean }>(
        `select sync.state = 'running' as running from sync_discoveries discovery join syncs sync on sync.id = discovery.sync_id
          where discovery.sync_id = $1 and discovery.number = $2 and (discovery.fence > $3 or sync.state <> 'running')`,
        [syncId, discovery, fence],
      );
      const what = `Discovery ${discovery} of sync ${syncId}`;
      if (!found[0]) throw new NotStaged(`${what} is not there, or not yet.`);
      throw notCurrent(what, found[0].running || (await reopenAfterReset(pool, syncId)));
    }
    return new DiscoveryAttempt(pool, { syncId, discovery }, fence, rows[0]);
  }

  /**
   * Runs statements in one transaction that holds the discovery's row.
   *
   * @throws {@link StaleAttempt} where this attempt is no longer the current one.
   */
  async transaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const { syncId, discovery } = this.reference;
    return inTransaction(this.pool, async (client) => {
      const { rowCount } = await client.query(
        `select 1 from sync_discoveries discovery join syncs sync on sync.id = discovery.sync_id
          where discovery.sync_id = $1 and discovery.number = $2 and discovery.fence = $3 and sync.state = 'running'
            for update of discovery`,
        [syncId, discovery, this.fence],
      );
      if (rowCount === 0)
        throw new StaleAttempt(`Discovery ${discovery} of sync ${syncId}: a later attempt has taken over.`);
      return work(client);
    });
  }

  /**
   * Stages a batch, and with it the count of units that a later attempt skips.
   *
   * @returns the batch's number in the sync.
   */
  async stage(units: readonly CheckedUnit[]): Promise<number> {
    const { syncId, discovery } = this.reference;
    const number = await this.transaction(async (client) => {
      await client.query(
        'update sync_discoveries set staged_units = staged_units + $3 where sync_id = $1 and number = $2',
        [syncId, discovery, units.length],
      );
      return stageBatch(client, syncId, discovery, units);
    });
    this.staged += units.length;
    return number;
  }

  /** Notes that the step has declared all. */
  async finish(): Promise<void> {
    const { syncId, discovery } = this.reference;
    await this.transaction((client) =>
      client.query('update sync_discoveries set finished = true where sync_id = $1 and number = $2', [
        syncId,
        discovery,
      ]),
    );
  }
}
