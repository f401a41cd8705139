import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';

import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock, eventually } from '../harness/penstock';
import { HeldLock } from './held-lock';
import { WorkerProcess } from '../harness/worker-process';

jest.setTimeout(120_000);

const concurrency = 10;

describe('a worker that is killed', () => {
  let penstock: Penstock;
  let upstream: FileRepository;
  let workers: WorkerProcess[];

  const startWorker = async () => {
    const worker = await WorkerProcess.start(penstock);
    workers.push(worker);
    return worker;
  };

  beforeEach(async () => {
    penstock = await Penstock.start({ worker: false });
    upstream = await FileRepository.start();
    workers = [];
  });
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.kill()));
    await upstream.stop();
    await penstock.stop();
  });

  it('while it downloads 2,000 files costs no more than those in flight', async () => {
    const files = numberedFiles(2000);
    for (const [path, content] of Object.entries(files)) upstream.put(path, content);
    upstream.delay = 10;
    await penstock.addRepository('files', { url: upstream.url, download_concurrency: concurrency });
    const worker = await startWorker();
    const sync = await penstock.startSync('files');
    await eventually('the middle of the downloads', () => upstream.served.length > 800);
    await worker.kill();
    const begun = new Set(upstream.downloads);
    expect(begun.size).toBeLessThan(1500);

    await startWorker();
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 2000, present: 2000 });
    expect(await penstock.pathsOf('files', 1)).toEqual(Object.keys(files));
    expect(await penstock.contentsOf('files', 1)).toEqual(files);
    expect(upstream.requests.filter((path) => path === 'PULP_MANIFEST')).toHaveLength(1);
    expect(upstream.repeated.length).toBeLessThanOrEqual(concurrency);
    expect(upstream.repeated.filter((path) => !begun.has(path))).toEqual([]);
    expect(new Set(upstream.downloads).size).toBe(2000);
  });

  it('while it discovers goes on from what was staged, and stages nothing twice', async () => {
    const files = numberedFiles(12_000);
    for (const [path, content] of Object.entries(files)) upstream.put(path, content);
    await penstock.addRepository('large', { url: upstream.url, policy: 'on_demand' });
    // Of a second one, not even the manifest has come to its end.
    const slow = await FileRepository.start(numberedFiles(2));
    slow.misbehave.set('PULP_MANIFEST', (_, response) => {
      response.writeHead(200).write(`${slow.lineOf('file-00000.txt')}\n`);
    });
    await penstock.addRepository('slow', { url: slow.url });
    const worker = await startWorker();
    const syncs = [await penstock.startSync('large'), await penstock.startSync('slow')] as const;
    await eventually('a part of the large manifest is staged, the slow one begun', async () => {
      return (await stagedUnits('large')) >= 2000 && slow.requests.length > 0;
    });
    // Whatever the discovery writes next waits, so that the kill falls into the middle.
    const lock = await HeldLock.take(penstock.testDatabase.url, 'select 1 from sync_discoveries for update');
    const staged = await stagedUnits('large');
    expect(staged).toBeLessThan(12_000);
    await worker.kill();
    await lock.release();
    slow.misbehave.clear();

    await startWorker();
    await expect(penstock.resultOf(syncs[0])).resolves.toMatchObject({ version: 1, added: 12_000, downloaded: 0 });
    await expect(penstock.resultOf(syncs[1])).resolves.toMatchObject({ version: 1, added: 2, downloaded: 2 });
    await slow.stop();
    expect(await penstock.pathsOf('large', 1)).toEqual(Object.keys(files));
    expect(upstream.requests).toEqual(['PULP_MANIFEST']);
    expect(slow.requests.slice(0, 2)).toEqual(['PULP_MANIFEST', 'PULP_MANIFEST']);
    expect(slow.downloads).toHaveLength(2);
  });

  it('while a run comes to rest to continue as new loses no batch and fetches nothing again', async () => {
    // More batches than go through the stages at once.
    const files = numberedFiles(9500);
    for (const [path, content] of Object.entries(files)) upstream.put(path, content);
    await penstock.addRepository('files', { url: upstream.url, download_concurrency: concurrency });
    const worker = await startWorker();
    const sync = await penstock.startSync('files', { continueAsNewAfter: 1 });
    const { runId } = await sync.describe();
    // After the first batch the run only waits for those that are under way.
    const firstIsOver = async () => (await penstock.sql('select 1 from sync_batches where finished')).length > 0;
    await eventually('the first batch is over', firstIsOver, 60_000);
    await worker.kill();
    const begun = new Set(upstream.downloads);
    expect(begun.size).toBeLessThan(9000);

    await startWorker();
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 9500, present: 9500 });
    const latest = penstock.client.workflow.getHandle(sync.workflowId);
    expect((await latest.describe()).runId).not.toBe(runId);
    expect(await penstock.contentsOf('files', 1)).toEqual(files);
    expect(upstream.repeated.length).toBeLessThanOrEqual(concurrency);
    expect(upstream.repeated.filter((path) => !begun.has(path))).toEqual([]);
  });

  it('while it completes a version leaves it invisible or complete, and nothing of it undone', async () => {
    for (const [path, content] of Object.entries(numberedFiles(200))) upstream.put(path, content);
    await penstock.addRepository('visible', { url: upstream.url });
    await penstock.addRepository('invisible', { url: upstream.url, policy: 'on_demand' });
    const worker = await startWorker();
    // The one can no longer tidy up behind itself, the other not yet write down what it has come to.
    const tidying = await HeldLock.take(penstock.testDatabase.url, 'lock table staged_references in share mode');
    const visible = await penstock.startSync('visible');
    await tidying.awaited();
    const counting = await HeldLock.take(
      penstock.testDatabase.url,
      'lock table repository_version_counts in share mode',
    );
    const invisible = await penstock.startSync('invisible', { mode: 'mirror' });
    await counting.awaited();
    await worker.kill();
    await tidying.release();
    await counting.release();
    expect(await penstock.versionsOf('visible')).toEqual([0, 1]);
    expect(await penstock.versionsOf('invisible')).toEqual([0]);
    upstream.forget();

    await startWorker();
    const outcome = { version: 1, changed: true, added: 200, removed: 0, present: 200 };
    await expect(penstock.resultOf(visible)).resolves.toMatchObject({ ...outcome, downloaded: 200 });
    await expect(penstock.resultOf(invisible)).resolves.toMatchObject({ ...outcome, downloaded: 0 });
    expect(await penstock.versionsOf('invisible')).toEqual([0, 1]);
    expect(upstream.requests).toEqual([]);
    expect(await penstock.sql('select 1 from staged_units union all select 1 from sync_batches')).toEqual([]);
  });

  async function stagedUnits(repository: string): Promise<number> {
    const rows = await penstock.sql<{ staged: number }>(
      `select coalesce(sum(discovery.staged_units), 0)::int as staged
         from repositories repository
         join syncs sync on sync.repository_id = repository.id
         join sync_discoveries discovery on discovery.sync_id = sync.id
        where repository.name = $1`,
      [repository],
    );
    return rows[0]?.staged ?? 0;
  }
});
