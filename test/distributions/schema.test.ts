import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { openDatabase } from '../../src/models/database';
import type { Database } from '../../src/models/database';
import { allMigrations, migrate } from '../../src/models/migrate';
import { plugins } from '../../src/plugins';
import { testSeed } from '../harness/seed';
import { createDatabase } from '../services/database';
import { openTestDatabase } from './set-up';

describe('the schema of distributions', () => {
  let database: Database;
  const sha256 = 'a'.repeat(64);

  beforeAll(async () => {
    database = await openTestDatabase();
    await database.pool.query(`insert into repositories (name, type) values ('files', 'file')`);
    await database.pool.query(
      'insert into repository_versions (repository_id, number, complete, completed_at) values (1, 0, true, now())',
    );
    await database.pool.query(`insert into distributions (name, base_path, repository_id) values ('one', 'a/b', 1)`);
    await database.pool.query(
      `insert into distribution_tokens (distribution_id, name, sha256) values (1, 'first', '${sha256}')`,
    );
  });
  afterAll(() => database.close());

  const distribution = (columns: string, values: string) => `insert into distributions (${columns}) values (${values})`;
  const token = (id: number, name: string, digest: string) =>
    `insert into distribution_tokens (distribution_id, name, sha256) values (${id}, '${name}', '${digest}')`;

  it.each([
    ['a name twice', distribution('name, base_path', `'one', 'x'`), /distributions_name_key/],
    ['an empty name', distribution('name, base_path', `'', 'x'`), /check constraint/],
    ['an empty base path', distribution('name, base_path', `'two', ''`), /check constraint/],
    ['a base path twice', distribution('name, base_path', `'two', 'a/b'`), /overlapping_base_paths/],
    ['a base path above another', distribution('name, base_path', `'two', 'a'`), /overlapping_base_paths/],
    ['a base path below another', distribution('name, base_path', `'two', 'a/b/c'`), /overlapping_base_paths/],
    ['an unknown guard', distribution('name, base_path, guard', `'two', 'x', 'password'`), /check constraint/],
    [
      'certificates without authorities',
      distribution('name, base_path, guard', `'two', 'x', 'certificate'`),
      /check constraint/,
    ],
    [
      'authorities that nobody asks for',
      distribution('name, base_path, client_ca', `'two', 'x', 'PEM'`),
      /check constraint/,
    ],
    [
      'authorities beside tokens',
      distribution('name, base_path, guard, client_ca', `'two', 'x', 'token', 'PEM'`),
      /check constraint/,
    ],
    [
      'a repository and a version',
      distribution('name, base_path, repository_id, version_id', `'two', 'x', 1, 1`),
      /check constraint/,
    ],
    ['a repository that is not there', distribution('name, base_path, repository_id', `'two', 'x', 9`), /foreign key/],
    ['a version that is not there', distribution('name, base_path, version_id', `'two', 'x', 9`), /foreign key/],
    ['a token twice', token(1, 'second', sha256), /sha256_key/],
    ['two tokens of a name', token(1, 'first', 'b'.repeat(64)), /distribution_id_name_key/],
    ['a token without a name', token(1, '', 'b'.repeat(64)), /check constraint/],
    ['a digest in upper case', token(1, 'second', 'B'.repeat(64)), /check constraint/],
    ['a digest that is none', token(1, 'second', 'b'.repeat(63)), /check constraint/],
    ['a token of no distribution', token(9, 'second', 'b'.repeat(64)), /foreign key/],
  ])('refuses %s', async (_, statement, constraint) => {
    await expect(database.pool.query(statement)).rejects.toThrow(constraint);
  });

  it('finds two base paths overlapping exactly where one is the other or lies below it', async () => {
    const seed = testSeed();
    const segment = fc.string({
      minLength: 1,
      maxLength: 2,
      unit: fc.constantFrom('a', 'b', '0', '.', '-', '\u00e9', '\uffff', '\u{1f600}'),
    });
    const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join('/'));
    const pairs = fc.sample(
      fc.oneof(
        fc.tuple(path, path),
        fc.tuple(path, path).map(([first, more]) => [first, `${first}/${more}`] as const),
        fc.tuple(path, segment).map(([first, more]) => [first, `${first}${more}`] as const),
      ),
      { numRuns: 3000, seed },
    );
    const liesIn = (inner: string, outer: string) => inner === outer || inner.startsWith(`${outer}/`);
    const { rows } = await database.pool.query<{ overlap: boolean }>(
      `select path_range(one || '/', one || '0') && path_range(other || '/', other || '0') as overlap
         from unnest($1::text[], $2::text[]) with ordinality as pair (one, other, place) order by place`,
      [pairs.map(([one]) => one), pairs.map(([, other]) => other)],
    );
    const expected = pairs.map(([one, other]) => ({ one, other, overlap: liesIn(one, other) || liesIn(other, one) }));
    const found = rows.map(({ overlap }, index) => ({ ...expected[index], overlap }));
    expect({ seed, found }).toEqual({ seed, found: expected });
    expect(new Set(rows.map(({ overlap }) => overlap))).toEqual(new Set([true, false]));
  });

  it('keeps a distribution whose version or repository goes, and forgets the tokens of one that goes', async () => {
    await database.pool.query(distribution('name, base_path, version_id', `'pinned', 'pinned', 1`));
    await database.pool.query('delete from repositories');
    const { rows } = await database.pool.query(
      'select name, repository_id, version_id from distributions order by name',
    );
    expect(rows).toEqual([
      { name: 'one', repository_id: null, version_id: null },
      { name: 'pinned', repository_id: null, version_id: null },
    ]);
    await database.pool.query('delete from distributions');
    expect((await database.pool.query('select from distribution_tokens')).rowCount).toBe(0);
  });
});

describe('a database from before distributions', () => {
  it('gets them, and keeps all that it has', async () => {
    const testDatabase = await createDatabase();
    const database = openDatabase(testDatabase.url);
    const { pool, sequelize } = database;
    try {
      await pool.query('create table schema_migrations (name text primary key, applied_at timestamptz default now())');
      for (const { name, sql } of allMigrations(plugins).filter((each) => each.name !== '0007-distributions')) {
        await pool.query(sql);
        await pool.query('insert into schema_migrations (name) values ($1)', [name]);
      }
      await pool.query(
        `with remote as (
           insert into remotes (name, type, url, policy) values ('files', 'file', 'https://example.org/', 'on_demand') returning id
         ), content as (
           insert into contents (type) values ('file.file') returning id
         ), attached as (
           insert into content_artifacts (content_id, relative_path) select id, 'dists/Ünlü' from content returning id
         )
         insert into remote_artifacts (content_artifact_id, remote_id, urls, size)
         select attached.id, remote.id, '{https://example.org/x}', 7 from attached, remote`,
      );
      const read = async (table: string) => (await pool.query<Record<string, unknown>>(`select * from ${table}`)).rows;
      const [contents, sources] = [await read('content_artifacts'), await read('remote_artifacts')];

      await expect(migrate(sequelize, plugins)).resolves.toEqual(['0007-distributions']);
      expect(await read('content_artifacts')).toEqual(contents);
      expect(await read('remote_artifacts')).toEqual(sources.map((source) => ({ ...source, failed_until: null })));
      expect([await read('distributions'), await read('distribution_tokens')]).toEqual([[], []]);
    } finally {
      await database.close();
      await testDatabase.drop();
    }
  });
});
