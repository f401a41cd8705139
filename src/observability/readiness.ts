import type { NativeConnection } from '@temporalio/worker';
import type { Pool } from 'pg';

import { asError } from '../errors';

/** Milliseconds that a check may take. */
const patience = 1000;

export const checkNames = ['worker', 'postgresql', 'schema', 'temporal'] as const;
export type CheckName = (typeof checkNames)[number];

/** What was found: `ok`, or why not, in a few words that hold no secret. */
export interface Readiness {
  readonly ready: boolean;
  readonly checks: Readonly<Record<CheckName, string>>;
}

/** What is looked at. */
export interface ReadinessSources {
  readonly pool: Pool;
  readonly connection: Pick<NativeConnection, 'withDeadline' | 'workflowService'>;
  /** The state of the worker, as Temporal's SDK names it. */
  readonly workerState: () => string;
  /** Names of the migrations that the database has to have. */
  readonly migrations: readonly string[];
}

/** Whether the worker polls, PostgreSQL and Temporal answer within a second, and the schema is the one that is needed. */
export async function checkReadiness(sources: ReadinessSources): Promise<Readiness> {
  const { pool, connection, workerState, migrations } = sources;
  const deadline = Date.now() + patience;
  const [postgresql, schema, temporal] = await Promise.all([
    outcomeOf(pool.query('select 1')),
    outcomeOf(missingMigrations(pool, migrations), (missing) => missing > 0 && `missing migrations: ${missing}`),
    outcomeOf(connection.withDeadline(deadline, () => connection.workflowService.getSystemInfo({}))),
  ]);
  const state = workerState();
  const worker = state === 'RUNNING' ? 'ok' : state.toLowerCase();
  const checks = { worker, postgresql, schema, temporal };
  return { ready: Object.values(checks).every((found) => found === 'ok'), checks };
}

async function missingMigrations(pool: Pool, migrations: readonly string[]): Promise<number> {
  const { rowCount } = await pool.query('select from schema_migrations where name = any($1)', [migrations]);
  return migrations.length - (rowCount ?? 0);
}

async function outcomeOf<T>(checked: Promise<T>, fault: (value: T) => string | false = () => false): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, patience, `no answer within ${patience / 1000} s`);
  });
  const answer = checked.then(
    (value) => fault(value) || 'ok',
    (thrown: unknown) => reasonOf(thrown),
  );
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A code where there is one: messages may say more of the network, and of users, than a probe should. */
function reasonOf(thrown: unknown): string {
  const { code, name } = asError(thrown) as NodeJS.ErrnoException;
  return `failed (${code ?? name})`;
}
