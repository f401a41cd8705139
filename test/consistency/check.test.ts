import { appendFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { FileStorage } from '../../src/storage/file-storage';
import { artifactKey, metadataKey } from '../../src/storage/storage';
import { sha256 } from '../harness/file-repository';
import type { Penstock } from '../harness/penstock';
import { inspect, putOldFile, takeRows } from './inspection';
import { Mirrors, content, digest, key, stray } from './mirrors';

let mirrors: Mirrors;
let penstock: Penstock;
beforeAll(async () => {
  mirrors = await Mirrors.start();
  ({ penstock } = mirrors);
});
afterAll(() => mirrors.stop());

const stored = () => join(penstock.storageDir, key);
const syncOf = (repository: string) => mirrors.syncOf(repository);
const repositoryOf = (name: string) => `(select id from repositories where name = '${name}')`;

it('finds nothing in what is whole, and counts all of it', async () => {
  const { problems, checked } = await inspect(penstock, { deep: true, olderThan: 0 });
  expect(problems).toEqual([]);
  const counts = Object.fromEntries(Object.entries(checked).map(([name, { count }]) => [name, count]));
  expect(counts).toEqual({
    ...{ versions: 8, incompleteVersions: 1, contents: 22, contentArtifacts: 22, artifacts: 21 },
    ...{ storedFiles: 22, pinnedMetadata: 1, stagedSyncs: 1, runningSyncs: 0 },
  });
});

/** What is broken by hand, returning what mends it; and all that the check then finds. */
const broken: readonly (readonly [what: string, wreck: () => Promise<() => Promise<unknown>>, ...found: object[]])[] = [
  [
    'a version that was counted wrong',
    async () => {
      const change = (by: string) =>
        penstock.sql(
          `update repository_version_counts set present = present ${by} where version_id =
             (select id from repository_versions where number = 1 and repository_id = ${repositoryOf('files')})`,
        );
      await change('+ 1');
      return () => change('- 1');
    },
    {
      ...{ kind: 'versionCounts', repository: 'files', version: 1, type: 'file.file' },
      ...{ expected: '20 added, 0 removed, 21 present', found: '20 added, 0 removed, 20 present' },
    },
  ],
  [
    'a version without counts',
    () =>
      takeRows(
        penstock,
        'repository_version_counts',
        `version_id = (select id from repository_versions where number = 2 and repository_id = ${repositoryOf('files')})`,
      ),
    { kind: 'versionCounts', version: 2, found: '1 added, 1 removed, 20 present' },
  ],
  [
    'a member that is lost',
    () =>
      takeRows(
        penstock,
        'repository_contents',
        `repository_id = ${repositoryOf('copies')}
           and content_id = (select content_id from file_contents where relative_path = 'new.txt')`,
      ),
    { kind: 'versionCounts', repository: 'copies', version: 1, found: '19 added, 0 removed, 19 present' },
  ],
  [
    'a removal that was undone',
    async () => {
      const id = repositoryOf('files');
      await penstock.sql(`update repository_contents set version_removed = null where repository_id = ${id}`);
      return () =>
        penstock.sql(
          `update repository_contents set version_removed = 2 where repository_id = ${id}
              and content_id = (select content_id from file_contents where relative_path = 'file-00000.txt')`,
        );
    },
    { kind: 'versionCounts', repository: 'files', version: 2, found: '1 added, 0 removed, 21 present' },
  ],
  [
    'an incomplete version that no sync owns',
    async () => {
      await penstock.sql(
        `insert into repository_versions (repository_id, number) values (${repositoryOf('copies')}, 2)`,
      );
      return () =>
        penstock.sql(
          `delete from repository_versions where repository_id = ${repositoryOf('copies')} and not complete`,
        );
    },
    { kind: 'incompleteVersionWithoutSync', repository: 'copies', version: 2 },
  ],
  [
    'an incomplete version below a complete one',
    async () => {
      await penstock.sql(
        `with newer as (
           insert into repository_versions (repository_id, number, complete, completed_at)
           values (${repositoryOf('failed')}, 2, true, now()) returning id)
         insert into repository_version_counts (version_id, type, added, removed, present)
         select newer.id, 'file.file', 0, 0, 20 from newer`,
      );
      return () =>
        penstock.sql(`delete from repository_versions where repository_id = ${repositoryOf('failed')} and number = 2`);
    },
    {
      ...{ kind: 'incompleteVersionVisible', repository: 'failed', version: 1, found: 'version 2' },
      mend: expect.stringContaining('penstock sync discard failed') as unknown,
    },
  ],
  [
    'an open sync whose version is complete',
    async () => {
      const putBack = await takeRows(penstock, 'sync_metadata', `sync_id = ${syncOf('copies')}`);
      await penstock.sql(`update syncs set state = 'canceled' where id = $1`, [syncOf('copies')]);
      return async () => {
        await putBack();
        await penstock.sql(`update syncs set state = 'completed' where id = $1`, [syncOf('copies')]);
      };
    },
    {
      ...{ kind: 'openSyncWithoutVersion', repository: 'copies', found: 'version 1, which is complete' },
      mend: expect.stringContaining('penstock sync discard copies') as unknown,
    },
  ],
  [
    'a content without its row',
    () => takeRows(penstock, 'file_contents', `relative_path = 'file-00003.txt'`),
    { kind: 'contentWithoutRow', type: 'file.file', found: 'none', repository: expect.any(String) as unknown },
  ],
  [
    'a content of a plugin that is not installed, and a row for it in the table of another one',
    async () => {
      await penstock.sql(`insert into contents (id, type) values (900001, 'ghost.thing'), (900002, 'ghost.thing')`);
      await penstock.sql(`insert into file_contents values (900002, 'ghost', $1)`, [stray]);
      return () => penstock.sql(`delete from contents where type = 'ghost.thing'`);
    },
    { kind: 'contentTypeUnknown', type: 'ghost.thing', found: '2 contents' },
    { kind: 'rowOfOtherType', content: '900002', found: 'a content of type ghost.thing' },
  ],
  [
    'a file that is not stored and has no source',
    () =>
      takeRows(
        penstock,
        'remote_artifacts',
        `content_artifact_id = (select id from content_artifacts where relative_path = 'later.txt')`,
      ),
    {
      ...{ kind: 'contentArtifactWithoutSource', repository: 'lazy', path: 'later.txt' },
      mend: expect.stringContaining('penstock sync lazy --no-optimize') as unknown,
    },
  ],
  [
    'a file that is gone',
    async () => {
      await rm(stored());
      return () => writeFile(stored(), content);
    },
    { kind: 'artifactFileMissing', path: key, found: 'no file', expected: '14 bytes', repository: 'files' },
  ],
  [
    'a file that is longer',
    async () => {
      await appendFile(stored(), 'x');
      return () => truncate(stored(), 14);
    },
    { kind: 'artifactFileSize', path: key, expected: '14 bytes', found: '15 bytes' },
  ],
  [
    'old files that nobody needs',
    async () => {
      const completed = syncOf('files');
      await penstock.sql(`update syncs set finished_at = now() - interval '2 hours' where id = $1`, [completed]);
      const keys = [
        artifactKey(stray),
        'tmp/1-a-1',
        'notes.txt',
        metadataKey(completed, stray),
        metadataKey('99', stray),
      ];
      const paths = await Promise.all(keys.map((each) => putOldFile(penstock, each)));
      return () => Promise.all(paths.map((path) => rm(path)));
    },
    { kind: 'fileUnknown', path: 'notes.txt' },
    { kind: 'temporaryFileLeft', path: 'tmp/1-a-1' },
    { kind: 'fileWithoutRow', path: artifactKey(stray) },
    { kind: 'metadataLeft', path: metadataKey('99', stray) },
    { kind: 'metadataLeft', path: expect.stringMatching(/^metadata\/\d+\//) as unknown },
  ],
  [
    'metadata that an open sync has pinned, and that is gone',
    async () => {
      const path = join(penstock.storageDir, await mirrors.pinned());
      const aside = join(penstock.settings.dataDir, 'aside');
      await rename(path, aside);
      return () => rename(aside, path);
    },
    { kind: 'metadataMissing', repository: 'failed', found: 'no file' },
  ],
  [
    'what a sync has staged that is long over',
    async () => {
      const sync = syncOf('copies');
      await penstock.sql(`update syncs set finished_at = now() - interval '2 hours' where id = $1`, [sync]);
      await penstock.sql('insert into sync_batches (sync_id, number, discovery, units) values ($1, 1, 1, 1)', [sync]);
      return () => penstock.sql('delete from sync_batches where sync_id = $1', [sync]);
    },
    { kind: 'stagingLeft', repository: 'copies', found: '1 batches and 0 discoveries' },
  ],
  [
    'a sync that runs without a workflow',
    async () => {
      const sync = syncOf('failed');
      await penstock.sql(`update syncs set state = 'running', finished_at = null where id = $1`, [sync]);
      return () => penstock.sql(`update syncs set state = 'failed', finished_at = now() where id = $1`, [sync]);
    },
    {
      ...{ kind: 'syncWithoutWorkflow', repository: 'failed' },
      mend: expect.stringContaining('penstock sync discard failed') as unknown,
    },
  ],
];

describe('a check finds', () => {
  it.each(broken)('%s, and nothing else', async (_, wreck, ...found) => {
    const mend = await wreck();
    const { problems } = await inspect(penstock);
    await mend();
    expect(problems).toHaveLength(found.length);
    for (const each of found) expect(problems).toContainEqual(expect.objectContaining(each));
    expect((await inspect(penstock)).problems).toEqual([]);
  });
});

describe('a deep check', () => {
  it('finds a file with other bytes, also where only a weaker digest says so', async () => {
    await writeFile(stored(), 'FILE number 3\n');
    const change = (md5: string | null) =>
      penstock.sql('update artifacts set md5 = $1 where sha256 = $2', [md5, sha256('new')]);
    await change('0'.repeat(32));
    expect((await inspect(penstock)).problems).toEqual([]);
    const { problems } = await inspect(penstock, { deep: true });
    await writeFile(stored(), content);
    await change(null);

    expect(problems).toHaveLength(2);
    expect(problems).toContainEqual(
      expect.objectContaining({
        ...{ kind: 'artifactFileDigest', path: key, expected: `sha256 ${digest}` },
        mend: expect.stringContaining('penstock repair files') as unknown,
      }),
    );
    expect(problems).toContainEqual(
      expect.objectContaining({
        ...{ kind: 'artifactFileDigest', path: artifactKey(sha256('new')), expected: `md5 ${'0'.repeat(32)}` },
        found: 'md5 22af645d1859cb5ca6da0c484f1f37ea',
      }),
    );
  });

  it('names every file that cannot be read', async () => {
    const unreadable = () =>
      new Readable({
        read() {
          this.destroy(new Error('EIO: i/o error, read'));
        },
      });
    const storage = Object.assign(FileStorage.forReading(penstock.storageDir), { read: unreadable });
    const { problems } = await inspect(penstock, { deep: true, storage });
    expect(problems).toHaveLength(21);
    for (const each of problems) {
      expect(each).toMatchObject({ kind: 'artifactFileUnreadable', found: 'EIO: i/o error, read' });
    }
  });
});

describe('a check that cannot look at everything', () => {
  it('says how the workflows can be checked where Temporal does not answer', async () => {
    const { problems, checked } = await inspect(penstock, { client: undefined });
    expect(problems).toEqual([]);
    expect(checked.runningSyncs).toMatchObject({
      count: null,
      notChecked: expect.stringContaining('set TEMPORAL_ADDRESS') as unknown,
    });
  });

  it('takes it for one problem that the storage is not there', async () => {
    const { problems, checked } = await inspect(penstock, { storage: undefined });
    expect(problems).toEqual([expect.objectContaining({ kind: 'storageMissing' })]);
    expect(checked).toMatchObject({ storedFiles: { count: null }, pinnedMetadata: { count: null } });
  });

  it('ends when it is interrupted', async () => {
    await expect(inspect(penstock, { signal: AbortSignal.abort(new Error('SIGINT')) })).rejects.toThrow('SIGINT');
  });
});
