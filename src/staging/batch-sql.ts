import type { PoolClient } from 'pg';

import type { BatchSql } from '../plugins/plugin';

/** What a plugin gets to run statements with, inside a stage's transaction. */
export function batchSql(client: PoolClient, batchId: string): BatchSql {
  return {
    batchId,
    query: async <Row extends object>(sql: string, values: readonly unknown[] = []) => {
      const { rows } = await client.query(sql, [...values]);
      return rows as Row[];
    },
  };
}
