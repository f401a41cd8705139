import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { openDatabase } from '../../src/models/database';
import type { Database } from '../../src/models/database';
import { allMigrations, migrate } from '../../src/models/migrate';
import { plugins } from '../../src/plugins';
import { createDatabase } from '../services/database';
import type { TestDatabase } from '../services/database';

describe('a database of an earlier Penstock', () => {
  let testDatabase: TestDatabase;
  let database: Database;

  beforeAll(async () => {
    testDatabase = await createDatabase();
    database = openDatabase(testDatabase.url);
  });
  afterAll(async () => {
    await database.close();
    await testDatabase.drop();
  });

  it('gets what is new, and keeps all that it has, a sync in the middle too', async () => {
    const { pool, sequelize } = database;
    const added = [
      '0003-version-retention',
      '0004-operations',
      '0005-maintenance',
      '0006-drains',
      '0007-distributions',
    ];
    await pool.query('create table schema_migrations (name text primary key, applied_at timestamptz default now())');
    for (const { name, sql } of allMigrations(plugins).filter((each) => !added.includes(each.name))) {
      await pool.query(sql);
      await pool.query('insert into schema_migrations (name) values ($1)', [name]);
    }
    await pool.query(
      `with repository as (
         insert into repositories (name, type) values ('new', 'file'), ('synced', 'file'), ('syncing', 'file') returning id, name
       )
       insert into repository_versions (repository_id, number, complete, completed_at)
       select id, number, complete, case when complete then now() end
         from repository
         join (values ('new', 0, true), ('synced', 0, true), ('synced', 7, true), ('syncing', 3, true), ('syncing', 4, false))
              as version (name, number, complete) using (name)`,
    );
    const read = async (table: string, columns: string) =>
      (await pool.query(`select ${columns} from ${table} order by id`)).rows as unknown[];
    await pool.query(
      `with sync as (
         insert into syncs (repository_id, version_id, state, mode, policy, url, base_version, workflow_id, run_id, fence)
         select repository_id, id, 'running', 'additive', 'immediate', 'https://example.org/', 3, 'sync/syncing', 'run', 1
           from repository_versions where not complete returning id
       ), batch as (
         insert into sync_batches (sync_id, number, discovery, units, failed) select id, 1, 1, 1, 1 from sync returning id
       ), unit as (
         insert into staged_units (id, batch_id, type, fields) select 65536 * id, id, 'file.file', '{}' from batch returning id, batch_id
       )
       insert into staged_artifacts (unit_id, batch_id, relative_path, urls, deferred, error)
       select id, batch_id, 'lost.txt', '{https://example.org/lost.txt}', false, '{"message": "404"}' from unit`,
    );
    const versions = await read('repository_versions', '*');
    const syncs = await read('syncs', '*');
    const failures = (await pool.query('select * from sync_failures')).rows as unknown[];

    await expect(migrate(sequelize, plugins)).resolves.toEqual(added);
    expect(await read('repositories', 'name, next_version, retain_repo_versions')).toEqual([
      { name: 'new', next_version: 1, retain_repo_versions: null },
      { name: 'synced', next_version: 8, retain_repo_versions: null },
      { name: 'syncing', next_version: 4, retain_repo_versions: null },
    ]);
    expect(await read('repository_versions', '*')).toEqual(
      versions.map((version) => ({ ...(version as object), missing: 0 })),
    );
    expect(await read('syncs', '*')).toEqual(
      syncs.map((sync) => ({ ...(sync as object), paused: null, limits: null, missing: 0 })),
    );
    expect(failures).toMatchObject([{ path: 'lost.txt', error: { message: '404' } }]);
    expect((await pool.query('select * from sync_failures')).rows).toEqual(failures);
    await expect(pool.query('update repositories set retain_repo_versions = 0')).rejects.toThrow(/check constraint/);
  });
});
