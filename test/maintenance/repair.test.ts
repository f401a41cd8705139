import { readdir, readFile, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { FileRepository, numberedFiles, sha256 } from '../harness/file-repository';
import { eventually, Penstock } from '../harness/penstock';
import { WorkerProcess } from '../harness/worker-process';
import { ObjectStore } from '../services/object-store';
import { expectWhole, repair, rot, startRepair, storedAt } from './maintenance';

const files = numberedFiles(30);
const contentOf = (path: string) => files[path] ?? '';
const whole = { over: true, lost: 0, rotten: 0, mended: 0, failed: 0 };

describe.each(['a folder', 'an object store'])('a repair of %s', (where) => {
  let store: ObjectStore | undefined;
  let penstock: Penstock;
  let upstream: FileRepository;
  let mirror: FileRepository;
  const at = (path: string) => storedAt(penstock, contentOf(path));

  beforeAll(async () => {
    if (where === 'an object store') store = await ObjectStore.start();
    penstock = await Penstock.start({ objectStore: store });
    upstream = await FileRepository.start(files);
    mirror = await FileRepository.start(files);
    await penstock.addRepository('files', { url: upstream.url, max_retries: 0 });
    await penstock.addRepository('mirror', { url: mirror.url, max_retries: 0 });
    mirror.putManifest(`${mirror.lineOf('file-00000.txt')}\n${mirror.lineOf('file-00001.txt')}\n`);
    await penstock.sync('files');
    await penstock.sync('mirror');
  });
  beforeEach(() => {
    for (const each of [upstream, mirror]) {
      each.misbehave.clear();
      each.forget();
    }
  });
  afterAll(async () => {
    await upstream.stop();
    await mirror.stop();
    await penstock.stop();
    await store?.stop();
  });

  it('downloads again what is deleted, truncated or has a bit flipped, and nothing else', async () => {
    await rm(at('file-00002.txt'));
    await truncate(at('file-00003.txt'), 3);
    await rot(at('file-00004.txt'));
    expect(await repair(penstock)).toEqual({ ...whole, total: 30, checked: 30, lost: 1, rotten: 2, mended: 3 });
    expect(upstream.requests.sort()).toEqual(['file-00002.txt', 'file-00003.txt', 'file-00004.txt']);
    expect(await penstock.contentsOf('files', 1)).toEqual(files);
    await expectWhole(penstock);
  });

  it('looks at what is missing only, and only at what a repository holds, where that is asked for', async () => {
    await rm(at('file-00005.txt'));
    await rm(at('file-00001.txt'));
    await rot(at('file-00000.txt'));
    const scope = { repository: 'mirror', missingOnly: true };
    expect(await repair(penstock, scope)).toEqual({ ...whole, total: 2, checked: 2, lost: 1, mended: 1 });
    expect(await repair(penstock)).toEqual({ ...whole, total: 30, checked: 30, lost: 1, rotten: 1, mended: 2 });
    await expectWhole(penstock);
  });

  it('asks one remote after the other', async () => {
    await rot(at('file-00001.txt'));
    upstream.misbehave.set('file-00001.txt', (_, response) => response.writeHead(503).end());
    expect(await repair(penstock)).toMatchObject({ rotten: 1, mended: 1, failed: 0 });
    expect([upstream.requests, mirror.requests]).toEqual([['file-00001.txt'], ['file-00001.txt']]);
    await expectWhole(penstock);
  });

  it('lets nobody take for good what it cannot mend, and says what it is; the next sync brings it back', async () => {
    await rot(at('file-00000.txt'));
    await rm(at('file-00006.txt'));
    for (const path of ['file-00000.txt', 'file-00006.txt'])
      for (const each of [upstream, mirror])
        each.misbehave.set(path, (_, response) => {
          response.writeHead(404).end();
        });
    expect(await repair(penstock)).toMatchObject({ lost: 1, rotten: 1, mended: 0, failed: 2 });
    const failures = await penstock.sql(
      'select kind, path, repositories, urls, reason from repair_failures order by path',
    );
    expect(failures).toEqual([
      {
        ...{ kind: 'rotten', path: 'file-00000.txt', repositories: ['files', 'mirror'] },
        urls: [upstream, mirror].map(({ origin }) => `${origin}/file-00000.txt`).sort(),
        reason: expect.stringMatching(/the server answered 404[^]*the server answered 404/) as unknown,
      },
      expect.objectContaining({ kind: 'lost', path: 'file-00006.txt', repositories: ['files'] }),
    ]);
    expect(await readdir(join(penstock.storageDir, 'corrupted'))).toEqual([sha256(contentOf('file-00000.txt'))]);
    upstream.misbehave.clear();
    await penstock.sync('files', { optimize: false });
    expect(await readFile(at('file-00000.txt'), 'utf8')).toBe(contentOf('file-00000.txt'));
    await expectWhole(penstock);
  });

  it('waits while it is paused, and goes on where a terminated one has stopped', async () => {
    await repair(penstock);
    // Artifacts of one batch are in the order of their digests.
    const [first = ''] = Object.values(files).sort((a, b) => sha256(a).localeCompare(sha256(b)));
    await rm(storedAt(penstock, first));
    await penstock.sql(`update repairs set state = 'canceled', cursor = cursor - 20, checked = 10, finished_at = now()
      where id = (select max(id) from repairs)`);
    await penstock.stopWorker();
    const resumed = await startRepair(penstock);
    const pausing = resumed.executeUpdate('pause', { args: [{ reason: 'a look at the disk' }] });
    await penstock.startWorker();
    await pausing;
    const running = async () => (await penstock.sql(`select from repairs where state = 'running'`)).length > 0;
    await eventually('the repair goes on', running);
    expect(await penstock.sql(`select checked::int from repairs where state = 'running'`)).toEqual([{ checked: 10 }]);
    await resumed.executeUpdate('resume');
    expect(await resumed.result()).toMatchObject({ ...whole, total: 30, checked: 30, lost: 0 });
    expect(await repair(penstock, { restart: true })).toMatchObject({ checked: 30, lost: 1, mended: 1 });
  });
});

describe('a repair whose worker is killed', () => {
  let penstock: Penstock;
  let worker: WorkerProcess | undefined;
  afterEach(async () => {
    await worker?.kill();
    await penstock.stop();
  });

  it('goes on after what is noted, and mends all', async () => {
    penstock = await Penstock.start();
    const many = numberedFiles(1150);
    const upstream = await FileRepository.start(many);
    await penstock.addRepository('files', { url: upstream.url, download_concurrency: 10 });
    await penstock.sync('files');
    await penstock.stopWorker();
    const [{ id: last } = { id: '' }] = await penstock.sql<{ id: string }>('select max(id) as id from artifacts');
    await penstock.sql('create table lost as select sha256 from artifacts where id > $1::bigint - 140', [last]);
    const lost = await penstock.sql<{ sha256: string }>('select sha256 from lost');
    const contents = Object.values(many).filter((content) => lost.some((row) => row.sha256 === sha256(content)));
    await Promise.all(contents.map((content) => rm(storedAt(penstock, content))));
    upstream.delay = 100;
    upstream.forget();

    worker = await WorkerProcess.start(penstock);
    const handle = await startRepair(penstock);
    await eventually('downloads', () => upstream.served.length > 20);
    await worker.kill();
    const [row] = await penstock.sql<{ checked: number }>('select checked::int as checked from repairs');
    expect(row?.checked).toBe(1000);
    worker = await WorkerProcess.start(penstock);
    expect(await handle.result()).toMatchObject({ over: true, checked: 1150, failed: 0 });
    expect(upstream.repeated.length).toBeLessThanOrEqual(20);
    await upstream.stop();
    await expectWhole(penstock);
  });
});
