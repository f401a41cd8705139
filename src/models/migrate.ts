import { QueryTypes } from 'sequelize';
import type { Sequelize, Transaction } from 'sequelize';
import { Umzug } from 'umzug';

import type { Plugin } from '../plugins/plugin';
import { contentAndVersions } from './migrations/0001-content-and-versions';
import { syncs } from './migrations/0002-syncs';
import { versionRetention } from './migrations/0003-version-retention';
import { operations } from './migrations/0004-operations';
import { maintenance } from './migrations/0005-maintenance';
import { drains } from './migrations/0006-drains';
import { distributions } from './migrations/0007-distributions';
import { fetchedLater } from './migrations/0008-fetched-later';
import { alternateContentSources } from './migrations/0009-alternate-content-sources';

/** One additive change of the schema. Its name never changes once it was released. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

const coreMigrations: readonly Migration[] = [
  contentAndVersions,
  syncs,
  versionRetention,
  operations,
  maintenance,
  drains,
  distributions,
  fetchedLater,
  alternateContentSources,
];

/** An advisory lock of PostgreSQL, so that several processes may migrate at once; the number is arbitrary. */
const migrationLock = 0x50454e53;

/**
 * Brings the schema up to date: Penstock's own migrations, then those of each plugin, in the order of their lists, each
 * one in a transaction of its own with the row that records it.
 *
 * @returns the names of the migrations that were applied now.
 */
export async function migrate(sequelize: Sequelize, plugins: readonly Plugin[]): Promise<string[]> {
  await sequelize.transaction(async (transaction) => {
    // "if not exists" alone lets two processes collide in the catalogue.
    await lock(sequelize, transaction);
    await sequelize.query(createMigrations, { transaction });
  });
  const applied = await new Umzug({
    migrations: allMigrations(plugins).map(({ name, sql }) => ({
      name,
      up: () =>
        sequelize.transaction(async (transaction) => {
          await lock(sequelize, transaction);
          const recorded = await sequelize.query(
            'insert into schema_migrations (name) values (?) on conflict do nothing returning name',
            {
              replacements: [name],
              transaction,
              type: QueryTypes.SELECT,
            },
          );
          if (recorded.length > 0) await sequelize.query(sql, { transaction });
        }),
    })),
    storage: {
      // The row is written in the migration's own transaction, above.
      logMigration: () => Promise.resolve(),
      unlogMigration: () => Promise.reject(new Error('migrations are additive: none is undone')),
      executed: async () => {
        const rows = await sequelize.query<{ name: string }>('select name from schema_migrations order by name', {
          type: QueryTypes.SELECT,
        });
        return rows.map(({ name }) => name);
      },
    },
    logger: undefined,
  }).up();
  return applied.map(({ name }) => name);
}

/** Every migration in the order in which they are applied. */
export function allMigrations(plugins: readonly Plugin[]): Migration[] {
  return [
    ...coreMigrations,
    ...plugins.flatMap((plugin) => plugin.migrations.map(({ name, sql }) => ({ name: `${plugin.name}/${name}`, sql }))),
  ];
}

const createMigrations = `
  create table if not exists schema_migrations (
    name       text primary key,
    applied_at timestamptz not null default now()
  )`;

/** One process at a time, to the end of the transaction. */
async function lock(sequelize: Sequelize, transaction: Transaction): Promise<void> {
  await sequelize.query('select pg_advisory_xact_lock(?)', { replacements: [migrationLock], transaction });
}
