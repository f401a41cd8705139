import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { FileRepository, numberedFiles } from '../harness/file-repository';
import { eventually, Penstock } from '../harness/penstock';

describe('what changes between two syncs, or during one', () => {
  let penstock: Penstock;
  let upstream: FileRepository;

  beforeAll(async () => {
    penstock = await Penstock.start();
  });
  afterAll(() => penstock.stop());
  beforeEach(async () => {
    upstream = await FileRepository.start(numberedFiles(20));
  });
  afterEach(() => upstream.stop());

  it('a file that failed is no failure any more once another repository has stored it', async () => {
    upstream.misbehave.set('file-00003.txt', (_, response) => response.writeHead(404).end());
    await penstock.addRepository('failing', { url: upstream.url, max_retries: 0 });
    await expect(penstock.sync('failing')).rejects.toMatchObject({ type: 'SyncIncomplete' });

    const other = await FileRepository.start(numberedFiles(20));
    await penstock.addRepository('whole', { url: other.url });
    await penstock.sync('whole');
    await other.stop();

    upstream.forget();
    await expect(penstock.sync('failing')).resolves.toMatchObject({ version: 1, present: 20 });
    expect(upstream.downloads).toEqual([]);
  });

  it('a path that is declared with two digests is an error, also where the repository holds one of them', async () => {
    await penstock.addRepository('twice', { url: upstream.url });
    await penstock.sync('twice');
    const lines = Object.keys(numberedFiles(20)).map((path) => upstream.lineOf(path));
    const [held = ''] = lines;
    upstream.put('file-00000.txt', 'another content');
    upstream.putManifest([...lines, upstream.lineOf('file-00000.txt')].join('\n'));
    await expect(penstock.sync('twice')).rejects.toMatchObject({
      type: 'InvalidVersion',
      message: expect.stringContaining(held.split(',')[1] ?? '') as unknown,
    });
    expect(await penstock.versionsOf('twice')).toEqual([0, 1]);
  });

  it('a remote that is given another url while it is synced never mixes two upstreams in a version', async () => {
    const other = await FileRepository.start({ 'other.txt': 'other' });
    for (const [path, content] of Object.entries(numberedFiles(20, 'moved'))) upstream.put(path, content);
    upstream.delay = 2000;
    await penstock.addRepository('moved', { url: upstream.url, download_concurrency: 2 });
    const handle = await penstock.startSync('moved');
    await eventually('the first download', () => upstream.downloads.length > 0);
    await penstock.stopWorker();
    await penstock.sql(`update remotes set url = $1 where name = 'moved'`, [other.url]);
    await penstock.startWorker();
    await expect(penstock.resultOf(handle)).rejects.toMatchObject({ type: 'RemoteChanged', transient: true });

    await expect(penstock.sync('moved')).resolves.toMatchObject({ version: 1, present: 1 });
    expect(await penstock.pathsOf('moved', 1)).toEqual(['other.txt']);
    await other.stop();
  });

  it('a sync that finds nothing changed says so, once', async () => {
    await penstock.addRepository('same', { url: upstream.url });
    await penstock.sync('same');
    await expect(penstock.sync('same')).resolves.toMatchObject({ skipped: true, version: 1, present: 20 });
    const reports = await penstock.sql(
      `select progress.code, progress.state from sync_progress progress join syncs sync on sync.id = progress.sync_id
        where sync.state = 'skipped' and sync.repository_id = (select id from repositories where name = 'same')`,
    );
    expect(reports).toEqual([{ code: 'sync.was_skipped', state: 'skipped' }]);
  });
});
