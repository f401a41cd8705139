import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Pool } from 'pg';

import { addContents, membersOf, writeHistory } from '../harness/version-history';
import { PenstockCommand, events } from './penstock-command';

let penstock: PenstockCommand;
let pool: Pool;
let files: string;
let count = 0;

beforeAll(async () => {
  penstock = await PenstockCommand.withGivenServices();
  await penstock.json('migrate');
  pool = new Pool({ connectionString: penstock.env.DATABASE_URL });
  await addContents(pool, [1, 2, 3, 4]);
});

afterAll(async () => {
  await pool.end();
  await penstock.remove();
});

beforeEach(async () => {
  files = `files-${(count += 1)}`;
  await writeHistory(pool, files, [[], [1, 2], [2, 4], [2, 3, 4]]);
});

/** What a sync leaves that was canceled. */
async function beginVersion4(): Promise<void> {
  await pool.query(
    `with version as (
       insert into repository_versions (repository_id, number) select id, 4 from repositories where name = $1
       returning id, repository_id
     )
     insert into syncs (repository_id, version_id, state, mode, policy, url, base_version, workflow_id, run_id, fence, finished_at)
     select repository_id, id, 'canceled', 'additive', 'immediate', 'http://localhost', 3, 'w', 'r', 1, now() from version`,
    [files],
  );
}

describe('penstock version delete', () => {
  it('deletes a version, and says so', async () => {
    const { status, stdout } = await penstock.run(['version', 'delete', files, '2']);
    expect(stdout).toBe(`Version 2 of "${files}" is deleted.\n`);
    expect(status).toBe(0);
    expect(await penstock.json('version', 'show', files, '3')).toMatchObject({ added: 2, removed: 1, present: 3 });
    expect(await penstock.json('version', 'delete', files, '3')).toEqual({ repository: files, deleted: 3 });
    expect((await penstock.run(['version', 'delete', files, '0', '--quiet'])).stdout).toBe('');
    const last = await penstock.run(['version', 'delete', files, '1']);
    expect(last.stderr).toBe(
      `Version 1 is the last complete one of repository "${files}" and cannot be deleted. "penstock repository delete ${files}" deletes the repository.\n`,
    );
    expect(last.status).toBe(1);
    expect(Object.fromEntries(await membersOf(pool, files))).toEqual({ 1: [1, 2] });
  });

  it('says what is not there, and what to do about a version that is not complete', async () => {
    await beginVersion4();
    for (const [number, message] of [
      ['9', `Repository "${files}" has no complete version 9. "penstock version list ${files}" shows`],
      ['4', `Repository "${files}" has no complete version 4: a sync has begun it, and is not over.`],
      [
        '3',
        `Version 3 of repository "${files}" cannot be deleted, as version 4, which is not complete, goes out from it.\nFinish that version:  penstock sync ${files}\n`,
      ],
    ] as const) {
      const { status, stderr } = await penstock.run(['version', 'delete', files, number]);
      expect(stderr).toContain(message);
      expect(status).toBe(1);
    }
    expect((await penstock.run(['version', 'delete', files, '99999999999'])).status).toBe(2);
  });
});

describe('penstock version diff', () => {
  it('lists what one of two versions holds, with totals', async () => {
    const { status, stdout } = await penstock.run(['version', 'diff', files, '1', '3']);
    const [removed, added, ...rest] = stdout.split('\n');
    expect(removed).toBe('-\tother.thing\t');
    expect(added).toBe('+\tother.thing\t');
    expect(rest[0]).toMatch(/^\+\tfile\.file\tfile-4\.txt [0-9a-f]{64}$/);
    expect(rest.slice(1)).toEqual(['2 added, 1 removed', '']);
    expect(status).toBe(0);
    expect((await penstock.run(['version', 'diff', files, '2', '2'])).stdout).toBe('0 added, 0 removed\n');
  });

  it('prints lines of JSON, ids only, and no more than is wanted', async () => {
    const lines = events((await penstock.run(['version', 'diff', files, '3', '1', '--json'])).stdout);
    expect(lines).toMatchObject([
      { change: 'added', id: '1', type: 'other.thing', fields: {} },
      { change: 'removed', id: '3', type: 'other.thing', fields: {} },
      { change: 'removed', id: '4', type: 'file.file', fields: { relativePath: 'file-4.txt' } },
      { added: 1, removed: 2 },
    ]);
    const limited = await penstock.run(['version', 'diff', files, '1', '3', '--limit', '1']);
    expect(limited.stdout).toBe('-\tother.thing\t\n2 added, 1 removed\n');
    expect((await penstock.run(['version', 'diff', files, '1', '3', '--quiet'])).stdout).toBe('-\t1\n+\t3\n+\t4\n');
    const missing = await penstock.run(['version', 'diff', files, '1', '9']);
    expect(missing.stderr).toContain(`Repository "${files}" has no complete version 9.`);
    expect(missing.status).toBe(1);
  });
});

describe('penstock version rollback', () => {
  it('makes a version with the content of an old one, once', async () => {
    expect((await penstock.run(['version', 'rollback', files, '1'])).stdout).toBe(
      `Version 4 of "${files}" has the content of version 1: 1 added, 2 removed.\n`,
    );
    expect((await penstock.run(['version', 'rollback', files, '1'])).stdout).toBe(
      `Version 4 of "${files}" has the content of version 1 already: no new version.\n`,
    );
    expect(await penstock.json('version', 'rollback', files, '2')).toEqual({
      ...{ repository: files, version: 5, changed: true, added: 1, removed: 1 },
    });
    expect((await membersOf(pool, files)).get(5)).toEqual([2, 4]);
  });

  it('waits for the end of a version that is not complete', async () => {
    await beginVersion4();
    const { status, stderr } = await penstock.run(['version', 'rollback', files, '1']);
    expect(stderr).toBe(
      [
        `Repository "${files}" cannot be rolled back while its version 4 is not complete.`,
        `Finish that version:  penstock sync ${files}`,
        `Throw it away:        penstock sync discard ${files}\n`,
      ].join('\n'),
    );
    expect(status).toBe(1);
  });
});

describe('--retain-versions', () => {
  it('is set with a new repository, changed, shown, and applied at once', async () => {
    expect(await penstock.json('repository', 'create', 'kept', '--retain-versions', '3')).toMatchObject({
      retainRepoVersions: 3,
    });
    const updated = await penstock.run(['repository', 'update', files, '--retain-versions', '2']);
    expect(updated.stdout).toBe(`Repository "${files}" is updated. Its oldest versions are deleted: 2 versions.\n`);
    expect(Object.fromEntries(await membersOf(pool, files))).toEqual({ 2: [2, 4], 3: [2, 3, 4] });
    expect((await penstock.run(['repository', 'show', files])).stdout).toMatch(/retained versions +2\n/);
    expect(await penstock.json('repository', 'update', files, '--retain-versions', 'none')).toMatchObject({
      ...{ retainRepoVersions: null, latestVersion: 3 },
    });
    expect((await penstock.run(['repository', 'show', files])).stdout).toMatch(/retained versions +all\n/);
    const { repositories } = await penstock.json<{ repositories: unknown[] }>('repository', 'list');
    expect(repositories).toContainEqual(expect.objectContaining({ name: 'kept', retainRepoVersions: 3 }));
  });

  it.each(['0', 'some'])('refuses %s', async (value) => {
    const { status, stderr } = await penstock.run(['repository', 'update', files, '--retain-versions', value]);
    expect(stderr).toContain('Expected a whole number of 1 or more, or none.');
    expect(status).toBe(2);
  });
});
