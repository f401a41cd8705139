import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import type { CompletingSync } from '../../activities/complete-version';
import { validateVersion } from '../../activities/version-rules';
import { inTransaction, openDatabase } from '../../src/models/database';
import type { Database } from '../../src/models/database';
import { migrate } from '../../src/models/migrate';
import { InvalidVersion } from '../../src/models/sync-errors';
import { file } from '../../src/plugins/file';
import { sha256 } from '../harness/file-repository';
import { createDatabase } from '../services/database';
import type { TestDatabase } from '../services/database';

describe('the rules of a version', () => {
  let testDatabase: TestDatabase;
  let database: Database;

  beforeAll(async () => {
    testDatabase = await createDatabase();
    database = openDatabase(testDatabase.url);
    await migrate(database.sequelize, [file]);
  });
  afterAll(async () => {
    await database.close();
    await testDatabase.drop();
  });

  /** What the rules say of a version that holds these files: the paths with the contents of each; nothing of it stays. */
  async function faultOf(files: readonly (readonly [string, string])[]): Promise<string | undefined> {
    const undone = new Error('undone');
    let fault: string | undefined;
    await inTransaction(database.pool, async (client) => {
      const { rows } = await client.query<{ id: string }>(
        `with repository as (insert into repositories (name, type) values ('tested', 'file') returning id),
              version as (insert into repository_versions (repository_id, number) select id, 1 from repository)
         select id from repository`,
      );
      const repositoryId = rows[0]?.id ?? '';
      await client.query(
        `with declared as (
           select nextval('content_ids') as id, * from unnest($1::text[], $2::text[]) as file (path, digest)
         ), content as (
           insert into contents (id, type) select id, 'file.file' from declared
         ), detail as (
           insert into file_contents (content_id, relative_path, digest) select id, path, digest from declared
         ), attached as (
           insert into content_artifacts (content_id, relative_path) select id, path from declared
         )
         insert into repository_contents (repository_id, content_id, version_added) select $3, id, 1 from declared`,
        [files.map(([path]) => path), files.map(([, content]) => sha256(content)), repositoryId],
      );
      const sync: CompletingSync = {
        id: '1',
        repository: 'tested',
        repositoryId,
        versionId: '1',
        number: 1,
        state: 'running',
        mode: 'additive',
        plugin: 'file',
      };
      fault = await validateVersion(client, sync, file).then(
        () => undefined,
        (error: unknown) => {
          if (!(error instanceof InvalidVersion)) throw error;
          return error.message;
        },
      );
      throw undone;
    }).catch((error: unknown) => {
      if (error !== undone) throw error;
    });
    return fault;
  }

  it('find every file that would be a folder of another, and nothing else', async () => {
    const segment = fc.constantFrom('a', 'b', 'a-b', 'a.b', 'A', 'a b', 'é', '!', '~', '\u{1F642}', 'a\u0300', ' ');
    const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join('/'));
    const paths = fc.uniqueArray(path, { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(paths, async (given) => {
        const folders = given.filter((one) => given.some((other) => other.startsWith(`${one}/`)));
        const fault = await faultOf(given.map((each) => [each, 'content']));
        expect(fault === undefined).toBe(folders.length === 0);
        for (const folder of folders) expect(fault).toContain(`"${folder}" and "${folder}/`);
      }),
      { numRuns: 80 },
    );
  });

  it('name a path that two files have, with both digests', async () => {
    const fault = await faultOf([
      ['a', 'one'],
      ['b', 'b'],
      ['a', 'two'],
    ]);
    expect(fault).toContain('Repository "tested"');
    expect(fault).toContain('["a"]');
    for (const content of ['one', 'two']) expect(fault).toContain(sha256(content));
    expect(fault).not.toContain('["b"]');
  });

  it('name ten of many', async () => {
    const many = Array.from({ length: 30 }, (_, index) => `path-${index}`);
    const fault = await faultOf(many.flatMap((path) => [[path, 'one'] as const, [path, 'two'] as const]));
    expect(fault?.match(/path-\d+"\]:/g)).toHaveLength(10);
  });
});
