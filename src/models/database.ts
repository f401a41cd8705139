import { Pool } from 'pg';
import type { PoolClient } from 'pg';
import { Sequelize } from 'sequelize';

import { initContentModels } from './content-models';
import { initDistributionModels } from './distribution-models';
import { initRepositoryModels } from './repository-models';
import { initSyncModels } from './sync-models';

/** The one database of a process: a pool for the SQL of the stages, Sequelize for the models. */
export interface Database {
  readonly pool: Pool;
  readonly sequelize: Sequelize;
  close(): Promise<void>;
}

/** What statements can be run on: a connection, or any of a pool. */
export type Queryable = Pick<PoolClient, 'query'>;

/** No hang lasts for ever: neither one while connecting, nor where the other end of a connection has gone, nor one of a query. */
const bounds = {
  connectionTimeoutMillis: 30_000,
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
  /** Longer than any statement takes: the removals of a version with ten million contents. */
  query_timeout: 30 * 60_000,
};

/** A process that stands still inside a transaction loses it after a minute, and its locks; set here, as a proxy may not know it. */
const begin = "begin; set local idle_in_transaction_session_timeout = '60s'";

/** Opens the database at a `postgres://` url and binds the models to it; connects when first used. */
export function openDatabase(url: string, options: { readonly connections?: number } = {}): Database {
  const pool = new Pool({
    ...bounds,
    connectionString: url,
    max: options.connections ?? 20,
    application_name: 'penstock',
  });
  // An idle connection that breaks is replaced by the pool at the next use; without a listener it would end the process.
  pool.on('error', () => undefined);
  const sequelize = new Sequelize(url, {
    dialect: 'postgres',
    logging: false,
    define: { underscored: true },
    pool: { max: 5 },
    dialectOptions: { ...bounds }, // Sequelize writes into it
  });
  initRepositoryModels(sequelize);
  initContentModels(sequelize);
  initDistributionModels(sequelize);
  initSyncModels(sequelize);
  return {
    pool,
    sequelize,
    close: async () => {
      await Promise.all([pool.end(), sequelize.close()]);
    },
  };
}

/**
 * Runs statements in one transaction on one connection; any error rolls it back and is thrown on.
 *
 * @param first - a statement that goes with `begin`, in the same round trip
 */
export async function inTransaction<T>(
  pool: Pool,
  work: (client: PoolClient) => Promise<T>,
  first?: string,
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  // A lost connection fails the statement under way, and says so here as well: if nobody listened, the process would end.
  const onError = (error: Error) => {
    broken = error;
  };
  client.on('error', onError);
  try {
    await client.query(first === undefined ? begin : `${begin}; ${first}`);
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    // A connection that cannot even roll back is not given back to the pool.
    await client.query('rollback').catch((rollbackError: unknown) => {
      broken = rollbackError as Error;
    });
    throw error;
  } finally {
    client.release(broken);
    client.off('error', onError);
  }
}
