import { ApplicationFailure } from '@temporalio/common';
import type { Pool, PoolClient } from 'pg';

import { excludeDrain, findDrain } from '../src/draining/drain-rows';
import { inTransaction } from '../src/models/database';
import type { Queryable } from '../src/models/database';
import { heldBack } from '../src/syncs/workflow-activity';

/** Lets Temporal try again until Penstock is no longer drained: so whoever started the workflow, nothing begins to work. */
export async function holdWhileDrained(client: Queryable): Promise<void> {
  if (!(await findDrain(client))) return;
  throw ApplicationFailure.retryable(
    'Penstock is drained: this waits until somebody says "penstock undrain".',
    heldBack,
  );
}

/** Runs a transaction after which something works: none is committed once Penstock is drained. */
export function inUndrainedTransaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  return inTransaction(
    pool,
    async (client) => {
      await holdWhileDrained(client);
      return work(client);
    },
    excludeDrain,
  );
}
