import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';

import { deleteVersion } from '../../src/repositories/delete-version';
import { FileStorage } from '../../src/storage/file-storage';
import type { Storage } from '../../src/storage/storage';
import { artifactKey, corruptedKey, metadataKey } from '../../src/storage/storage';
import { putOldFile } from '../consistency/inspection';
import { FileRepository, numberedFiles, sha256 } from '../harness/file-repository';
import { FailedSync, Penstock, eventually } from '../harness/penstock';
import { clean, expectWhole, startCleaning, storedAt } from './maintenance';

jest.setTimeout(120_000);

const nothing = { contents: 0, artifacts: 0, files: 0, bytes: 0 };
const stray = 'ab'.repeat(32);
let penstock: Penstock;
let upstream: FileRepository;
let failRemoval: (() => void) | undefined;
let afterLook: (() => Promise<void>) | undefined;

/** A storage whose removals a test can let fail, as a crash would, and that a test can change once somebody has looked at a file. */
async function openStorage(folder: string): Promise<Storage> {
  const storage = await FileStorage.open(folder);
  const remove = storage.remove.bind(storage);
  const sizeOf = storage.sizeOf.bind(storage);
  return Object.assign(storage, {
    remove: async (key: string) => {
      failRemoval?.();
      await remove(key);
    },
    sizeOf: async (key: string) => {
      const size = await sizeOf(key);
      const once = afterLook;
      afterLook = undefined;
      await once?.();
      return size;
    },
  });
}

beforeEach(async () => {
  failRemoval = undefined;
  afterLook = undefined;
  penstock = await Penstock.start({ storage: openStorage });
  upstream = await FileRepository.start();
});
afterEach(async () => {
  await upstream.stop();
  await penstock.stop();
});

it('removes exactly what nothing needs, and a dry run says how much that is', async () => {
  for (const [path, content] of Object.entries(numberedFiles(10))) upstream.put(path, content);
  await penstock.addRepository('files', { url: upstream.url });
  await penstock.sync('files');
  upstream.remove('file-00000.txt');
  await penstock.sync('files', { mode: 'mirror' });
  await penstock.addRepository('deleted', { url: `${upstream.origin}/deleted` });
  upstream.put('deleted', '');
  upstream.put('of-deleted.txt', 'of a deleted repository');
  upstream.misbehave.set('deleted', (_, response) => {
    response.end(`${upstream.lineOf('of-deleted.txt')}\n${upstream.lineOf('file-00001.txt')}\n`);
  });
  await penstock.sync('deleted');
  await penstock.addRepository('failed', { url: upstream.url });
  upstream.remove('deleted');
  upstream.remove('of-deleted.txt');
  upstream.put('of-failed.txt', 'of an interrupted sync');
  upstream.put('bad.txt', 'bad');
  upstream.misbehave.set('bad.txt', (_, response) => response.writeHead(404).end());
  await expect(penstock.sync('failed')).rejects.toBeInstanceOf(FailedSync);
  expect(await clean(penstock)).toEqual(nothing);

  await deleteVersion(penstock.database, 'files', 1);
  await penstock.sql(`delete from repositories where name = 'deleted'`);
  const [pinned = ''] = await readdir(join(penstock.storageDir, 'metadata'), { recursive: true });
  const keys = [artifactKey(stray), 'tmp/1-a-1', corruptedKey(stray), metadataKey('999', stray)];
  const strays = await Promise.all(keys.map((key) => putOldFile(penstock, key)));
  const foreign = await putOldFile(penstock, 'notes.txt');
  const gone = {
    contents: 2,
    artifacts: 2,
    files: 6,
    bytes: 'file number 0\n'.length + 'of a deleted repository'.length + 16,
  };
  expect(await clean(penstock, { protectionSeconds: 3600 })).toEqual({ ...nothing, files: 4, bytes: 16 });
  await Promise.all(keys.map((key) => putOldFile(penstock, key)));
  expect(await clean(penstock, { dryRun: true })).toEqual(gone);
  expect(strays.every((path) => existsSync(path))).toBe(true);
  expect(await clean(penstock)).toEqual(gone);
  expect([...strays, storedAt(penstock, 'of a deleted repository')].filter((path) => existsSync(path))).toEqual([]);
  expect(existsSync(foreign)).toBe(true);
  expect(existsSync(join(penstock.storageDir, 'metadata', pinned))).toBe(true);
  expect(await clean(penstock)).toEqual(nothing);

  // The interrupted sync goes on with all that it has.
  upstream.misbehave.clear();
  upstream.forget();
  await penstock.sync('failed');
  expect(upstream.downloads).toEqual(['bad.txt']);
});

it('removes content that only unused content refers to, in circles too, and no other', async () => {
  const content = async (id: number, name: string) => {
    await penstock.sql(
      `insert into contents (id, type, created_at) values ($1, 'file.file', now() - interval '1 day')`,
      [id],
    );
    await penstock.sql('insert into file_contents values ($1, $2, $3)', [id, name, sha256(name)]);
  };
  for (let id = 1001; id <= 1006; id += 1) await content(id, `content ${id}`);
  await penstock.addRepository('held', { url: upstream.url });
  await penstock.sql(
    `insert into repository_contents (repository_id, content_id, version_added)
     select id, 1001, 0 from repositories where name = 'held'`,
  );
  // 1001, which is held, needs 1002 and 1003; 1004 needs 1002 too, and goes round in a circle with 1005 and 1006.
  await penstock.sql(
    `insert into content_references (content_id, name, referenced_id)
     values (1001, 'a', 1002), (1002, 'a', 1003), (1004, 'a', 1002), (1004, 'a', 1005), (1005, 'a', 1006), (1006, 'a', 1004)`,
  );
  expect(await clean(penstock)).toMatchObject({ contents: 3 });
  expect(await penstock.sql('select id::int from contents order by id')).toEqual([
    { id: 1001 },
    { id: 1002 },
    { id: 1003 },
  ]);
});

it('leaves a file without a row, and never a row without its file, where it crashes in between', async () => {
  for (const [path, content] of Object.entries(numberedFiles(5))) upstream.put(path, content);
  await penstock.addRepository('files', { url: upstream.url });
  await penstock.sync('files');
  await penstock.sql('delete from repositories');
  let crashes = 0;
  failRemoval = () => {
    crashes += 1;
    throw new Error('crashed');
  };
  const handle = await startCleaning(penstock);
  while (crashes === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  await handle.terminate();
  expect(await penstock.sql('select from artifacts')).toEqual([]);
  expect(await penstock.countStoredFiles()).toBe(5);
  failRemoval = undefined;
  // A sync may take what is left, and the next cleaning takes the rest.
  upstream.forget();
  upstream.remove('file-00004.txt');
  await penstock.addRepository('again', { url: upstream.url });
  await penstock.sync('again');
  expect(upstream.downloads).toEqual([]);
  expect(await clean(penstock)).toMatchObject({ artifacts: 0, files: 1 });
  expect(await penstock.countStoredFiles()).toBe(4);
  await expectWhole(penstock);
});

it('lets a sync download again what it had found, and what is removed before that is written down', async () => {
  upstream.put('file.txt', 'content');
  const path = storedAt(penstock, 'content');
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, 'content');
  afterLook = () => rm(path, { force: true });
  await penstock.addRepository('files', { url: upstream.url });
  await expect(penstock.sync('files')).resolves.toMatchObject({ version: 1, downloaded: 1 });
  expect(upstream.downloads).toEqual(['file.txt']);
  await expectWhole(penstock);
});

it('waits for a stage that takes contents into use, and then leaves them', async () => {
  const files = numberedFiles(5);
  for (const [path, content] of Object.entries(files)) upstream.put(path, content);
  await penstock.addRepository('files', { url: upstream.url });
  await penstock.sync('files');
  await penstock.sql('delete from repositories');
  await penstock.addRepository('again', { url: upstream.url });
  // The stage comes to this table once it has taken the contents, and before that is committed.
  const barrier = await penstock.database.pool.connect();
  await barrier.query('begin; lock table remote_artifacts in access exclusive mode');
  const waiting = async (number: number) => {
    const [found] = await penstock.sql<{ waiting: number }>(
      `select count(*)::int as waiting from pg_locks
        where not granted and database = (select oid from pg_database where datname = current_database())`,
    );
    return found?.waiting === number;
  };
  const sync = await penstock.startSync('again');
  await eventually('the stage waits', () => waiting(1));
  const cleaning = await startCleaning(penstock);
  await eventually('the cleaning waits', () => waiting(2));
  await barrier.query('rollback');
  barrier.release();
  await expect(cleaning.result()).resolves.toMatchObject({ contents: 0, artifacts: 0 });
  await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, present: 5, downloaded: 0 });
  expect(await penstock.contentsOf('again', 1)).toEqual(files);
});

it('beside syncs of overlapping content, in a loop and without protection, costs them nothing', async () => {
  const files = numberedFiles(300);
  for (const [path, content] of Object.entries(files)) upstream.put(path, content);
  const names = ['one', 'two', 'three'];
  for (const name of names) await penstock.addRepository(name, { url: upstream.url });
  let cleanings = 0;
  const ended = new AbortController();
  const cleaning = (async () => {
    for (; !ended.signal.aborted; cleanings += 1) await clean(penstock);
  })();
  for (let round = 0; round < 3; round += 1) {
    await Promise.all(names.map((name) => penstock.sync(name, { mode: 'mirror', optimize: false })));
    // What was in a version before is used no more: the cleaning and the next round meet in it.
    await penstock.sql('delete from repositories');
    await penstock.sql('delete from remotes');
    for (const name of names) await penstock.addRepository(name, { url: upstream.url });
  }
  await Promise.all(names.map((name) => penstock.sync(name)));
  ended.abort();
  await cleaning;
  expect(cleanings).toBeGreaterThan(2);
  for (const name of names) expect(await penstock.contentsOf(name, 1)).toEqual(files);
  await expectWhole(penstock);
});
