import { Pool } from 'pg';

/** Milliseconds: whoever asks for a file does not wait longer for the database. */
const patience = 15_000;

/**
 * Connections of the content app's own, so that no other work of the process keeps a reader waiting. Their plans are made once, and
 * use the indexes also where a table was small then: it may have a million rows before anyone notices.
 */
export function openLookupPool(url: string): Pool {
  const pool = new Pool({
    connectionString: url,
    max: 8,
    application_name: 'penstock content',
    connectionTimeoutMillis: patience,
    query_timeout: patience,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    // eslint-disable-next-line @typescript-eslint/no-misused-promises -- the pool waits for it, other than its types say
    onConnect: async (client) => {
      await client.query(
        `set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off;
         set plan_cache_mode = force_generic_plan; set statement_timeout = ${patience}`,
      );
    },
  });
  // An idle connection that breaks is replaced by the pool at the next use; without a listener it would end the process.
  pool.on('error', () => undefined);
  return pool;
}
