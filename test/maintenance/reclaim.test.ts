import { text } from 'node:stream/consumers';

import { afterAll, beforeAll, beforeEach, expect, it, jest } from '@jest/globals';

import { takeIntoUse } from '../../src/models/use-lock';
import { file } from '../../src/plugins/file';
import { deleteVersion } from '../../src/repositories/delete-version';
import { FileStorage } from '../../src/storage/file-storage';
import type { Storage } from '../../src/storage/storage';
import { artifactKey } from '../../src/storage/storage';
import { FileRepository, numberedFiles, sha256 } from '../harness/file-repository';
import { FailedSync, Penstock, eventually } from '../harness/penstock';
import { catalog } from '../plugins/catalog';
import { clean, download, expectWhole, reclaim, startReclaim } from './maintenance';

jest.setTimeout(120_000);

const nothing = { contents: 0, artifacts: 0, files: 0, bytes: 0 };
let penstock: Penstock;
let upstream: FileRepository;
let storage: Storage;
let failRemoval: (() => void) | undefined;

beforeAll(async () => {
  penstock = await Penstock.start({
    plugins: [file, catalog],
    storage: async (folder) => {
      const opened = await FileStorage.open(folder);
      const remove = opened.remove.bind(opened);
      storage = Object.assign(opened, {
        remove: async (key: string) => {
          failRemoval?.();
          await remove(key);
        },
      });
      return storage;
    },
  });
  upstream = await FileRepository.start();
});
beforeEach(async () => {
  await penstock.sql('truncate remotes, repositories, contents, artifacts cascade');
  await storage.removeAll('artifact');
  upstream.replaceAll({});
});
afterAll(async () => {
  await upstream.stop();
  await penstock.stop();
});

const lengthOf = (files: Record<string, string>) => Object.values(files).join('').length;

/** All that is saved of files, but for ids of artifacts. */
async function savedFiles(): Promise<unknown> {
  return {
    contentArtifacts: await penstock.sql(
      `select file.id, file.content_id, file.relative_path, artifact.size, artifact.sha256, artifact.sha512, artifact.md5
         from content_artifacts file left join artifacts artifact on artifact.id = file.artifact_id order by file.id`,
    ),
    remoteArtifacts: await penstock.sql('select * from remote_artifacts order by id'),
    artifacts: await penstock.sql(
      'select size, sha256, sha512, sha384, sha224, sha1, md5 from artifacts order by sha256',
    ),
    versions: await penstock.sql('select * from repository_contents order by content_id'),
  };
}

/** Paths of all content artifacts that are stored. */
const storedPaths = async () =>
  (
    await penstock.sql<{ path: string }>(
      'select distinct relative_path as path from content_artifacts where artifact_id is not null order by 1',
    )
  ).map(({ path }) => path);

it('defers what can be fetched again, as the dry run says; a download brings all back as it was', async () => {
  const files = numberedFiles(60);
  upstream.replaceAll(files);
  await penstock.addRepository('files', { url: upstream.url });
  await penstock.sync('files');
  const before = await savedFiles();
  const all = { contents: 60, artifacts: 60, files: 60, bytes: lengthOf(files) };
  expect(await reclaim(penstock, { dryRun: true })).toEqual(all);
  expect(await savedFiles()).toEqual(before);
  expect(await penstock.countStoredFiles()).toBe(60);

  expect(await reclaim(penstock)).toEqual(all);
  expect([await penstock.countStoredFiles(), await storedPaths()]).toEqual([0, []]);
  await expectWhole(penstock);
  expect(await reclaim(penstock)).toEqual(nothing);
  expect(await clean(penstock)).toEqual(nothing);

  // A sync has nothing to do as long as upstream has nothing new.
  await expect(penstock.sync('files')).resolves.toMatchObject({ skipped: true });
  expect(await download(penstock)).toEqual({ total: 60, fetched: 60, failed: 0 });
  expect(await savedFiles()).toEqual(before);
  expect(await penstock.contentsOf('files', 1)).toEqual(files);
  await expectWhole(penstock);

  await reclaim(penstock);
  await expect(penstock.sync('files', { optimize: false })).resolves.toMatchObject({ version: 1, downloaded: 60 });
  expect(await savedFiles()).toEqual(before);
});

it('goes through any number of pages', async () => {
  upstream.replaceAll(numberedFiles(2100));
  await penstock.addRepository('files', { url: upstream.url, policy: 'on_demand' });
  await penstock.sync('files');
  await penstock.sql('insert into artifacts (sha256, size) select sha256, size from remote_artifacts');
  await penstock.sql(
    `update content_artifacts file set artifact_id = artifact.id
       from remote_artifacts source join artifacts artifact on artifact.sha256 = source.sha256
      where source.content_artifact_id = file.id`,
  );
  const rows = { contents: 2100, artifacts: 2100, files: 0, bytes: 0 };
  expect(await reclaim(penstock, { dryRun: true })).toEqual(rows);
  expect(await reclaim(penstock)).toEqual(rows);
  expect(await penstock.sql('select from artifacts')).toEqual([]);
});

it('leaves what others need, what nobody has promised, and what is to be kept', async () => {
  upstream.replaceAll({ 'old.txt': 'old', 'both.txt': 'both', 'shared.txt': 'shared', 'staged.txt': 'staged' });
  await penstock.addRepository('files', { url: upstream.url });
  await penstock.sync('files');
  upstream.remove('old.txt');
  upstream.put('new.txt', 'new');
  await penstock.sync('files', { mode: 'mirror' });
  upstream.replaceAll({ 'renamed.txt': 'shared' });
  await penstock.addRepository('others', { url: upstream.url });
  await penstock.sync('others');
  // A sync that has failed, and may go on, has found a file that is stored.
  upstream.replaceAll({ 'same-as-staged.txt': 'staged', 'bad.txt': 'bad' });
  upstream.misbehave.set('bad.txt', (_, response) => response.writeHead(404).end());
  await penstock.addRepository('failed', { url: upstream.url, max_retries: 0 });
  await expect(penstock.sync('failed')).rejects.toBeInstanceOf(FailedSync);
  await penstock.sql('create table sources as select * from remote_artifacts');
  await penstock.sql(
    `delete from remote_artifacts source using content_artifacts file
      where file.id = source.content_artifact_id and file.relative_path = 'both.txt'`,
  );

  expect(await reclaim(penstock, { keepVersions: [1] })).toEqual({ contents: 1, artifacts: 1, files: 1, bytes: 3 });
  expect(await storedPaths()).toEqual([
    'both.txt',
    'old.txt',
    'renamed.txt',
    'same-as-staged.txt',
    'shared.txt',
    'staged.txt',
  ]);
  const weaken = (change: string) =>
    penstock.sql(`update remote_artifacts set ${change} where sha256 = $1 or md5 is not null`, [sha256('old')]);
  await weaken(`sha256 = null, md5 = '${'0'.repeat(32)}'`);
  expect(await reclaim(penstock)).toEqual(nothing);
  await weaken(`sha256 = '${sha256('old')}', md5 = null, size = 4`);
  expect(await reclaim(penstock)).toEqual(nothing);
  await weaken('size = null');
  // One of two sources promises another file.
  await penstock.addRepository('elsewhere', { url: upstream.url });
  await penstock.sql(
    `insert into remote_artifacts (content_artifact_id, remote_id, urls, sha256)
     select file.id, (select id from remotes where name = 'elsewhere'), array['http://127.0.0.1/old.txt'], $1
       from content_artifacts file where file.relative_path = 'old.txt'`,
    [sha256('another')],
  );
  expect(await reclaim(penstock)).toEqual(nothing);
  await penstock.sql('delete from remote_artifacts where sha256 = $1', [sha256('another')]);
  expect(await reclaim(penstock)).toMatchObject({ files: 1 });
  expect(await penstock.sql('select size::int from remote_artifacts where sha256 = $1', [sha256('old')])).toEqual([
    { size: 3 },
  ]);
  await penstock.sql(`insert into remote_artifacts overriding system value
    select * from sources where id not in (select id from remote_artifacts)`);
  await expectWhole(penstock);

  upstream.misbehave.clear();
  await penstock.sync('failed');
  expect(await penstock.contentsOf('failed', 1)).toEqual({ 'bad.txt': 'bad', 'same-as-staged.txt': 'staged' });
});

it('remembers what only the artifact knew, and demands the same bytes later', async () => {
  const declare = (name: string, path: string, digest: Record<string, string>) => {
    upstream.put(`${name}.json`, JSON.stringify([{ name: 'entry', files: [{ path, ...digest }] }]));
  };
  declare('promised', 'a', { sha256: sha256('content') });
  declare('unpromised', 'a', {});
  for (const name of ['promised', 'unpromised']) {
    await penstock.addRepository(name, { url: `${upstream.origin}/${name}.json`, max_retries: 0 }, 'catalog');
  }
  upstream.put('a', 'content');
  await penstock.sync('unpromised');
  expect(await reclaim(penstock, { repository: 'unpromised' })).toEqual(nothing);
  await penstock.sync('promised');
  await penstock.sql(`delete from repositories where name = 'unpromised'`);
  expect(await reclaim(penstock, { repository: 'promised' })).toMatchObject({ files: 1 });
  expect(await penstock.sql('select distinct sha256, size::int from remote_artifacts')).toEqual([
    { sha256: sha256('content'), size: 7 },
  ]);
  upstream.put('a', 'changed');
  expect(await download(penstock, { repository: 'promised' })).toMatchObject({ fetched: 0, failed: 1 });
});

it('lets who reads a file read it to its end', async () => {
  const content = 'x'.repeat(3_000_000);
  upstream.replaceAll({ 'large.bin': content });
  await penstock.addRepository('files', { url: upstream.url });
  await penstock.sync('files');
  const reader = storage.read(artifactKey(sha256(content)));
  await new Promise((resolve) => reader.once('readable', resolve));
  expect(await reclaim(penstock)).toMatchObject({ files: 1 });
  expect(await penstock.countStoredFiles()).toBe(0);
  expect(await text(reader)).toBe(content);
});

it('frees what it has left over where it crashes between rows and files', async () => {
  const files = numberedFiles(20);
  upstream.replaceAll(files);
  await penstock.addRepository('files', { url: upstream.url });
  await penstock.sync('files');
  let crashes = 0;
  failRemoval = () => {
    crashes += 1;
    throw new Error('crashed');
  };
  const handle = await startReclaim(penstock);
  while (crashes === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  await handle.terminate();
  expect([await storedPaths(), await penstock.countStoredFiles()]).toEqual([[], 20]);
  await expectWhole(penstock);
  failRemoval = undefined;
  // Whoever needs one of them meanwhile takes it, until the next reclaim.
  upstream.forget();
  expect(await download(penstock, { filters: ['file-00000.txt'] })).toMatchObject({ fetched: 1 });
  expect(upstream.downloads).toEqual([]);
  expect(await reclaim(penstock)).toMatchObject({ contents: 21, files: 20 });
  expect([await storedPaths(), await penstock.countStoredFiles()]).toEqual([[], 0]);
  await expectWhole(penstock);
});

it('beside syncs, downloads and cleanings, in a loop, costs them nothing', async () => {
  const files = numberedFiles(100);
  upstream.replaceAll(files);
  await penstock.addRepository('files', { url: upstream.url });
  await penstock.sync('files');
  const ended = new AbortController();
  const loop = async (work: () => Promise<unknown>) => {
    let rounds = 0;
    for (; !ended.signal.aborted; rounds += 1) await work();
    return rounds;
  };
  const loops = [loop(() => reclaim(penstock)), loop(() => clean(penstock)), loop(() => download(penstock))];
  for (let round = 0; round < 3; round += 1) {
    await expect(penstock.sync('files', { mode: 'mirror', optimize: false })).resolves.toMatchObject({ present: 100 });
  }
  ended.abort();
  for (const rounds of await Promise.all(loops)) expect(rounds).toBeGreaterThan(1);
  await download(penstock);
  expect(await penstock.contentsOf('files', 1)).toEqual(files);
  await expectWhole(penstock);
});

it('ends where a version that is to be kept is deleted meanwhile, and leaves what that held', async () => {
  await penstock.addRepository('files', { url: upstream.url });
  for (const files of [
    { 'other.txt': 'other' },
    { 'kept.txt': 'kept' },
    { 'other.txt': 'other', 'kept.txt': 'kept' },
  ]) {
    upstream.replaceAll(files);
    await penstock.sync('files', { mode: 'mirror' });
  }
  const user = await penstock.database.pool.connect();
  await user.query(`begin; ${takeIntoUse}`);
  const handle = await startReclaim(penstock, { keepVersions: [2] });
  await eventually('a page that waits for its lock', async () => {
    const { rows } = await user.query(
      `select from pg_locks
        where locktype = 'advisory' and not granted
          and database = (select oid from pg_database where datname = current_database())`,
    );
    return rows.length > 0;
  });
  await deleteVersion(penstock.database, 'files', 2);
  await user.query('commit');
  user.release();
  await expect(handle.result()).rejects.toMatchObject({ cause: { cause: { type: 'VersionNotFound' } } });
  expect(await storedPaths()).toEqual(['kept.txt', 'other.txt']);
});

it('refuses to keep a version that there is not', async () => {
  await penstock.addRepository('files', { url: upstream.url });
  const refused = await startReclaim(penstock, { keepVersions: [7] });
  await expect(refused.result()).rejects.toMatchObject({ cause: { cause: { type: 'VersionNotFound' } } });
});
