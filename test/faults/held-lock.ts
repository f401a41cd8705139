import { Client } from 'pg';

import { eventually } from '../harness/penstock';

/** A lock in the database that makes whoever needs the same wait, so that a kill falls where a test wants it. */
export class HeldLock {
  private constructor(
    private readonly client: Client,
    private readonly pid: number,
  ) {}

  /** Takes what the statement locks, and holds it. */
  static async take(databaseUrl: string, statement: string): Promise<HeldLock> {
    const client = new Client({ connectionString: databaseUrl });
    // It ends with its database, where a test has failed.
    client.on('error', () => undefined);
    await client.connect();
    await client.query('begin');
    await client.query(statement);
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    return new HeldLock(client, rows[0]?.pid ?? 0);
  }

  /** Resolves when somebody waits for it. */
  async awaited(): Promise<void> {
    await eventually('somebody waits for the lock', async () => {
      const { rowCount } = await this.client.query(
        // pg_stat_activity would not change within a transaction.
        'select 1 from pg_locks where not granted and $1 = any(pg_blocking_pids(pid))',
        [this.pid],
      );
      return rowCount !== 0;
    });
  }

  async release(): Promise<void> {
    await this.client.query('rollback');
    await this.client.end();
  }
}
