import { QueryTypes } from 'sequelize';

import { InvalidSetting, PenstockError } from '../errors';
import { openDatabase } from '../models/database';
import type { Database } from '../models/database';
import { allMigrations, migrate } from '../models/migrate';
import { plugins } from '../plugins';
import { DatabaseUnreachable, isConnectionError } from './exit-status';

/** The database's schema is not the one that this version of Penstock needs. */
export class SchemaOutOfDate extends PenstockError {}

/** Milliseconds until a database that does not answer is given up. */
const patience = 15_000;

/** Where a database is, without user and password. */
export function describeDatabase(url: string): string {
  if (!URL.canParse(url)) return 'DATABASE_URL';
  const { host, pathname, searchParams } = new URL(url);
  return `${host || (searchParams.get('host') ?? 'localhost')}${pathname}`;
}

/**
 * Opens the database and makes sure that it answers.
 *
 * @throws {@link DatabaseUnreachable} saying where, but neither user nor password.
 */
export async function connectDatabase(url: string): Promise<Database> {
  if (!/^postgres(ql)?:/.test(url)) {
    throw new InvalidSetting('DATABASE_URL must be a url such as postgres://user:password@host:5432/database.');
  }
  let database: Database | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    database = openDatabase(url);
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new DatabaseUnreachable(`no answer within ${patience / 1000} s`, {}, true));
      }, patience);
    });
    await Promise.race([database.pool.query('select 1'), late]);
    return database;
  } catch (error) {
    // Not waited for: the pool waits for a connection that may never come.
    void database?.close().catch(() => undefined);
    const { message, code, errors } = error as Error & { code?: string; errors?: Error[] };
    const why = message || (errors?.[0]?.message ?? code ?? 'no reason given');
    throw new DatabaseUnreachable(
      `PostgreSQL at ${describeDatabase(url)} cannot be reached (${why}). Is it running, and is DATABASE_URL right?`,
      { found: describeDatabase(url) },
      isConnectionError(error),
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
  }
}

/** Brings the schema up to date; returns the names of the migrations that were applied now. */
export async function applyMigrations({ sequelize }: Database): Promise<string[]> {
  return migrate(sequelize, plugins);
}

/** @throws {@link SchemaOutOfDate} where migrations are missing. */
export async function requireSchema({ sequelize }: Database, url: string): Promise<void> {
  const [table] = await sequelize.query<{ there: boolean }>(
    `select to_regclass('schema_migrations') is not null as there`,
    { type: QueryTypes.SELECT },
  );
  const applied = table?.there
    ? await sequelize.query<{ name: string }>('select name from schema_migrations', { type: QueryTypes.SELECT })
    : [];
  const names = new Set(applied.map(({ name }) => name));
  const missing = allMigrations(plugins).filter(({ name }) => !names.has(name));
  if (missing.length === 0) return;
  throw new SchemaOutOfDate(
    `The database at ${describeDatabase(url)} lacks ${missing.length} of this version's migrations (${missing[0]?.name ?? ''} is the first). Apply them: penstock migrate`,
    { missing: missing.length },
  );
}
