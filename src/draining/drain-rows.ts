import type { Pool } from 'pg';

import { inTransaction } from '../models/database';
import type { Queryable } from '../models/database';

/** Penstock is drained: nothing begins to work until it no longer is. */
export interface Drain {
  readonly since: Date;
}

/** An advisory lock of PostgreSQL; the number is arbitrary. */
const drainLock = 0x50454e44;

/**
 * For a transaction after which something works: the first lock of it. No drain begins until its end, so that one which has begun
 * sees all that works.
 */
export const excludeDrain = `select pg_advisory_xact_lock_shared(${drainLock})`;

/** The drain that holds, if one does. */
export async function findDrain(client: Queryable): Promise<Drain | undefined> {
  const { rows } = await client.query<Drain>('select since from drains');
  return rows[0];
}

/** From now on nothing begins to work; gives the drain, which may have begun earlier. */
export async function beginDrain(pool: Pool): Promise<Drain> {
  return inTransaction(
    pool,
    async (client) => {
      const { rows } = await client.query<Drain>(
        'insert into drains default values on conflict (single) do update set single = true returning since',
      );
      if (!rows[0]) throw new Error('an upsert returns its row');
      return rows[0];
    },
    `select pg_advisory_xact_lock(${drainLock})`,
  );
}

/** From now on everything may work; gives whether a drain held. */
export async function endDrain(pool: Pool): Promise<boolean> {
  return (await pool.query('delete from drains')).rowCount === 1;
}

/** Notes a workflow before it is asked to pause, so that a crash in between forgets none. */
export async function noteDrained(pool: Pool, workflowId: string): Promise<void> {
  await pool.query('insert into drained_workflows (workflow_id) values ($1) on conflict do nothing', [workflowId]);
}

export async function forgetDrained(pool: Pool, workflowId: string): Promise<void> {
  await pool.query('delete from drained_workflows where workflow_id = $1', [workflowId]);
}

/** The workflows that were asked to pause, and not to go on since. */
export async function listDrained(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>('select workflow_id as id from drained_workflows order by 1');
  return rows.map(({ id }) => id);
}
