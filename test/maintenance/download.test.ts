import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { WorkflowFailedError } from '@temporalio/client';

import { patternOf } from '../../src/fetching/path-patterns';
import { deleteVersion } from '../../src/repositories/delete-version';
import { CrampedStorage } from '../harness/cramped-storage';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock, eventually } from '../harness/penstock';
import type { RemoteValues } from '../harness/penstock';
import { WorkerProcess } from '../harness/worker-process';
import { download, expectWhole, startDownload } from './maintenance';

describe('a download of what is deferred', () => {
  const disk = new CrampedStorage();
  let penstock: Penstock;
  let upstream: FileRepository;
  let mirror: FileRepository;

  beforeAll(async () => {
    penstock = await Penstock.start({ storage: disk.open });
    upstream = await FileRepository.start();
    mirror = await FileRepository.start();
  });
  beforeEach(() => {
    for (const each of [upstream, mirror]) {
      each.replaceAll({});
      each.misbehave.clear();
      each.forget();
      each.delay = 0;
    }
  });
  afterAll(async () => {
    await upstream.stop();
    await mirror.stop();
    await penstock.stop();
  });

  /** A repository whose files are all deferred. */
  async function addDeferred(name: string, from: FileRepository, remote: Partial<RemoteValues> = {}): Promise<void> {
    await penstock.addRepository(name, { url: from.url, policy: 'on_demand', max_retries: 0, ...remote });
    await penstock.sync(name);
    from.forget();
  }

  const matching = async (glob: string, paths: readonly string[]) => {
    const rows = await penstock.sql<{ path: string }>('select path from unnest($1::text[]) path where path ~ $2', [
      paths,
      patternOf(glob),
    ]);
    return rows.map(({ path }) => path);
  };

  it('matches whole paths by globs', async () => {
    const paths = [
      'a.iso',
      'cd/a.iso',
      'cd/dvd/a.iso',
      'a+b (1).iso',
      'aXiso',
      'dists/stable/Release',
      'distsX',
      'ü.iso',
    ];
    expect(await matching('*.iso', paths)).toEqual(['a.iso', 'a+b (1).iso', 'ü.iso']);
    expect(await matching('**/*.iso', paths)).toEqual(paths.filter((path) => path.endsWith('.iso')));
    expect(await matching('cd/**', paths)).toEqual(['cd/a.iso', 'cd/dvd/a.iso']);
    expect(await matching('dists/**', paths)).toEqual(['dists/stable/Release']);
    expect(await matching('?.iso', paths)).toEqual(['a.iso', 'ü.iso']);
    expect(await matching('a+b (1).iso', paths)).toEqual(['a+b (1).iso']);
    expect(await matching('cd/*/a.iso', paths)).toEqual(['cd/dvd/a.iso']);
  });

  it('fetches of a version what filters match, and the rest later, streamed or not', async () => {
    const first = { 'a.iso': 'a', 'cd/b.iso': 'b', 'dists/stable/Release': 'release' };
    upstream.replaceAll(first);
    await addDeferred('files', upstream, { policy: 'streamed' });
    upstream.replaceAll({ 'second.txt': 'second' });
    await penstock.sync('files', { mode: 'mirror' });
    upstream.replaceAll({ ...first, 'second.txt': 'second' });

    upstream.forget();
    expect(await download(penstock, { version: 1, filters: ['*.iso', 'dists/**'] })).toEqual({
      ...{ total: 2, fetched: 2, failed: 0 },
    });
    expect(upstream.downloads.sort()).toEqual(['a.iso', 'dists/stable/Release']);
    expect(await download(penstock)).toEqual({ total: 1, fetched: 1, failed: 0 });
    expect(await download(penstock, { version: 1 })).toEqual({ total: 1, fetched: 1, failed: 0 });
    expect(await penstock.contentsOf('files', 1)).toEqual(first);
    expect(upstream.downloads).toHaveLength(4);
    // What is stored already is attached, and not fetched.
    mirror.replaceAll({ 'same.txt': 'a' });
    await addDeferred('same', mirror);
    await penstock.sql(`update content_artifacts set artifact_id = null where relative_path = 'same.txt'`);
    expect(await download(penstock, { repository: 'same' })).toEqual({ total: 1, fetched: 1, failed: 0 });
    expect(mirror.downloads).toEqual([]);
    await expectWhole(penstock);
  });

  it('asks the next source where one fails or lies, and lists what nobody has', async () => {
    const files = { 'lied.txt': 'truth', 'absent.txt': 'absent', 'gone.txt': 'gone' };
    upstream.replaceAll(files);
    mirror.replaceAll(files);
    await addDeferred('sources', upstream);
    await addDeferred('more-sources', mirror);
    // What one remote has not promised, it has to keep all the same.
    await penstock.sql(
      `update remote_artifacts set sha256 = null, size = null
        where urls[1] = $1`,
      [`${upstream.origin}/lied.txt`],
    );
    upstream.put('lied.txt', 'liar!');
    upstream.remove('absent.txt');
    for (const each of [upstream, mirror]) each.remove('gone.txt');
    expect(await download(penstock, { repository: 'sources' })).toEqual({ total: 3, fetched: 2, failed: 1 });
    expect(await penstock.contentsOf('sources', 1)).toEqual({ 'absent.txt': 'absent', 'lied.txt': 'truth' });
    expect(
      await penstock.sql(
        `select file.relative_path as path, failure.urls, failure.reason
           from download_failures failure join content_artifacts file on file.id = failure.content_artifact_id`,
      ),
    ).toEqual([
      {
        path: 'gone.txt',
        urls: [`${upstream.origin}/gone.txt`, `${mirror.origin}/gone.txt`],
        reason: expect.stringMatching(/the server answered 404[^]*the server answered 404/) as unknown,
      },
    ]);
    // Who asks again tries again.
    upstream.put('gone.txt', 'gone');
    expect(await download(penstock, { repository: 'sources' })).toEqual({ total: 1, fetched: 1, failed: 0 });
    await expectWhole(penstock);
  });

  it('keeps to what the remote allows, waits while it is paused, and goes on where a canceled one has stopped', async () => {
    const files = numberedFiles(120, 'limited');
    upstream.replaceAll(files);
    await addDeferred('limited', upstream, { download_concurrency: 4 });
    upstream.delay = 50;
    upstream.mostOpen = 0;
    const canceled = await startDownload(penstock, { repository: 'limited' });
    await eventually('some downloads', () => upstream.served.length > 10);
    await canceled.executeUpdate('pause', { args: [{ reason: 'a look' }] });
    await canceled.executeUpdate('resume');
    await canceled.cancel();
    await expect(canceled.result()).rejects.toBeInstanceOf(WorkflowFailedError);
    const stored = await penstock.contentsOf('limited', 1);
    expect(Object.keys(stored).length).toBeGreaterThan(0);
    upstream.delay = 0;
    const kept = Object.keys(stored).length;
    expect(await download(penstock, { repository: 'limited' })).toEqual({ total: 120, fetched: 120, failed: 0 });
    expect(upstream.mostOpen).toBeLessThanOrEqual(4);
    expect(upstream.repeated.length).toBeLessThanOrEqual(4);
    expect(kept).toBeLessThan(120);
    expect(await penstock.sql(`select state, fetched::int from downloads where total = 120`)).toEqual([
      { state: 'completed', fetched: 120 },
    ]);
    expect(await penstock.contentsOf('limited', 1)).toEqual(files);
  });

  it('ends where its version is deleted meanwhile', async () => {
    upstream.replaceAll({ 'old.txt': 'old' });
    await addDeferred('squashed', upstream);
    upstream.replaceAll({ 'new.txt': 'new' });
    await penstock.sync('squashed');
    upstream.replaceAll({ 'old.txt': 'old' });
    upstream.mostOpen = 0;
    upstream.delay = 1000;
    const handle = await startDownload(penstock, { repository: 'squashed', version: 1 });
    await eventually('a request', () => upstream.mostOpen > 0);
    await deleteVersion(penstock.database, 'squashed', 1);
    await expect(handle.result()).rejects.toMatchObject({ cause: { cause: { type: 'VersionNotFound' } } });
    expect(await penstock.sql(`select state, error->>'type' as type from downloads order by id desc limit 1`)).toEqual([
      { state: 'failed', type: 'VersionNotFound' },
    ]);
  });

  it('refuses to begin where there is no room for all', async () => {
    upstream.replaceAll({ 'large.bin': 'x'.repeat(5000) });
    await addDeferred('large', upstream);
    disk.room = { free: 4000, total: 4000 };
    const failed = await startDownload(penstock, { repository: 'large' });
    await expect(failed.result()).rejects.toMatchObject({
      cause: { cause: { type: 'NotEnoughRoom', message: expect.stringContaining('Repository "large"') as unknown } },
    });
    disk.room = { free: 1e12, total: 1e12 };
    expect(upstream.downloads).toEqual([]);
  });

  it.each([
    ['a repository that there is not', { repository: 'nowhere' }, 'RepositoryNotFound'],
    ['a version that there is not', { repository: 'large', version: 99 }, 'VersionNotFound'],
    ['a pattern that no path matches', { repository: 'large', filters: ['/etc/*'] }, 'InvalidValue'],
  ])('refuses %s', async (_, request, type) => {
    const refused = await startDownload(penstock, request);
    await expect(refused.result()).rejects.toMatchObject({ cause: { cause: { type } } });
  });
});

describe('a download whose worker is killed', () => {
  let penstock: Penstock;
  let worker: WorkerProcess | undefined;
  afterEach(async () => {
    await worker?.kill();
    await penstock.stop();
  });

  it('goes on with what is missing, also after it was terminated', async () => {
    penstock = await Penstock.start();
    const files = numberedFiles(150);
    const upstream = await FileRepository.start(files);
    await penstock.addRepository('files', { url: upstream.url, policy: 'on_demand', download_concurrency: 10 });
    await penstock.sync('files');
    await penstock.stopWorker();
    upstream.delay = 100;
    upstream.forget();
    worker = await WorkerProcess.start(penstock);
    const handle = await startDownload(penstock);
    await eventually('downloads', () => upstream.served.length > 20);
    await worker.kill();
    await handle.terminate('by hand');
    upstream.delay = 0;
    await penstock.startWorker();
    expect(await download(penstock)).toEqual({ total: 150, fetched: 150, failed: 0 });
    // Their digests are known: what was put in place is found again.
    expect(upstream.repeated.length).toBeLessThanOrEqual(10);
    expect(await penstock.contentsOf('files', 1)).toEqual(files);
    await upstream.stop();
    await expectWhole(penstock);
  });
});
