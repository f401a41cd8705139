import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { migrate } from '../../src/models/migrate';
import { plugins } from '../../src/plugins';
import { Penstock } from '../harness/penstock';

describe('the schema', () => {
  let penstock: Penstock;
  const digest = 'a'.repeat(64);

  beforeAll(async () => {
    penstock = await Penstock.start({ worker: false });
    await penstock.addRepository('one', { url: 'http://127.0.0.1:1/PULP_MANIFEST' });
    await penstock.sql(`insert into repository_versions (repository_id, number) values (1, 1)`);
    await penstock.sql(`insert into contents (id, type) values (1, 'file.file'), (2, 'file.file')`);
    await penstock.sql(`insert into artifacts (sha256, size) values ($1, 1)`, [digest]);
    await penstock.sql(`insert into file_contents (content_id, relative_path, digest) values (1, 'a', $1)`, [digest]);
    await penstock.sql(`insert into content_artifacts (content_id, artifact_id, relative_path) values (1, 1, 'a')`);
    await penstock.sql(`insert into repository_contents (repository_id, content_id, version_added) values (1, 1, 1)`);
  });
  afterAll(() => penstock.stop());

  const refused: readonly (readonly [what: string, statement: string, constraint: RegExp])[] = [
    [
      'a second incomplete version of a repository',
      `insert into repository_versions (repository_id, number) values (1, 2)`,
      /one_incomplete_version/,
    ],
    [
      'a version number twice',
      `insert into repository_versions (repository_id, number, complete, completed_at) values (1, 0, true, now())`,
      /repository_id_number_key/,
    ],
    [
      'a complete version without the time of its completion',
      `update repository_versions set complete = true where number = 1`,
      /check constraint/,
    ],
    [
      'a natural key twice',
      `insert into file_contents (content_id, relative_path, digest) values (2, 'a', '${digest}')`,
      /relative_path_digest_key/,
    ],
    ['two rows for a digest', `insert into artifacts (sha256, size) values ('${digest}', 2)`, /artifacts_sha256_key/],
    [
      'a digest in upper case, which would be another row',
      `insert into artifacts (sha256, size) values ('${digest.toUpperCase()}', 1)`,
      /check constraint/,
    ],
    [
      'content twice in a version',
      `insert into repository_contents (repository_id, content_id, version_added) values (1, 1, 0)`,
      /content_once_in_a_version/,
    ],
    [
      'content in a version that does not exist',
      `insert into repository_contents (repository_id, content_id, version_added) values (1, 2, 7)`,
      /foreign key/,
    ],
    [
      'content that is removed before it was added',
      `update repository_contents set version_removed = 0`,
      /check constraint/,
    ],
    [
      'a path twice in a content',
      `insert into content_artifacts (content_id, relative_path) values (1, 'a')`,
      /content_id_relative_path_key/,
    ],
    ['the removal of an artifact that a content has', `delete from artifacts`, /foreign key/],
    ['the removal of content that a version holds', `delete from contents where id = 1`, /foreign key/],
    ['an unknown policy', `update remotes set policy = 'sometimes'`, /check constraint/],
    [
      'a second open sync of a repository',
      `insert into syncs (repository_id, version_id, state, mode, policy, url, base_version, workflow_id, run_id, fence, finished_at)
       select 1, id, state, 'additive', 'immediate', 'http://localhost', 0, 'w', 'r', 1, now()
         from repository_versions, (values ('failed'), ('canceled')) as open (state) where number = 1`,
      /one_open_sync/,
    ],
  ];

  it.each(refused)('refuses %s', async (_, statement, constraint) => {
    await expect(penstock.sql(statement)).rejects.toThrow(constraint);
  });

  it('takes null for equal to null in a natural key', async () => {
    const [row] = await penstock.sql<{ definition: string }>(
      `select indexdef as definition from pg_indexes where indexname = 'file_contents_relative_path_digest_key'`,
    );
    expect(row?.definition).toContain('NULLS NOT DISTINCT');
  });

  it('is migrated once, also by several processes at the same time', async () => {
    await penstock.sql('drop schema public cascade');
    await penstock.sql('create schema public');
    const { sequelize } = penstock.database;
    await Promise.all([1, 2, 3].map(() => migrate(sequelize, plugins)));
    const applied = await penstock.sql<{ name: string }>('select name from schema_migrations order by name');
    expect(applied.map(({ name }) => name)).toEqual([
      '0001-content-and-versions',
      '0002-syncs',
      '0003-version-retention',
      '0004-operations',
      '0005-maintenance',
      '0006-drains',
      '0007-distributions',
      '0008-fetched-later',
      '0009-alternate-content-sources',
      'file/0001-file-contents',
    ]);
    await expect(migrate(sequelize, plugins)).resolves.toEqual([]);
  });
});
