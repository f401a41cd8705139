import { rm } from 'node:fs/promises';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';

import { drain } from '../../src/draining/drain';
import type { DrainOptions } from '../../src/draining/drain';
import { undrain } from '../../src/draining/undrain';
import { pause, resume } from '../../workflows/messages';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock, eventually } from '../harness/penstock';
import { startCleaning, startRepair, storedAt } from '../maintenance/maintenance';

jest.setTimeout(120_000);

const options: DrainOptions = { timeout: 60_000, onWaiting: () => undefined, signal: new AbortController().signal };

describe('a drain', () => {
  let penstock: Penstock;
  const served: FileRepository[] = [];
  const place = () => ({
    client: penstock.client,
    pool: penstock.database.pool,
    taskQueue: penstock.settings.taskQueue,
  });
  const idOf = (repository: string) => penstock.workflowId(repository);

  beforeAll(async () => {
    penstock = await Penstock.start();
  });
  afterAll(async () => {
    await Promise.all(served.map((each) => each.stop()));
    await penstock.stop();
  });

  it('brings syncs and a repair to rest, outlasts the workers, and its end lets just these go on', async () => {
    // More than a repair looks at in one go; what is lost at first takes longer than a turn of it.
    const files = numberedFiles(1005, 'mended');
    const mended = await serve(files);
    await penstock.addRepository('mended', { url: mended.url });
    await penstock.sync('mended');
    const lost = ['mended-00000.txt', 'mended-01004.txt'];
    for (const path of lost) await rm(storedAt(penstock, files[path] ?? ''));
    mended.forget();
    mended.delay = 5500;
    const repair = await startRepair(penstock);
    const [first, second, other] = await Promise.all(['first', 'second', 'other'].map(startSlowly));
    if (!first || !second || !other) throw new Error('three were started');
    await other.sync.executeUpdate(pause, { args: [{ reason: 'the disk is being looked at' }] });

    const repairId = `repair/${penstock.settings.taskQueue}`;
    await expect(drain(place(), { ...options, timeout: 0 })).rejects.toMatchObject({
      name: 'DrainIncomplete',
      transient: true,
    });
    expect(await drain(place(), options)).toEqual({
      since: expect.any(Date) as unknown,
      workflows: [
        { workflowId: repairId, state: 'paused', reason: 'drain' },
        { workflowId: idOf('first'), state: 'paused', reason: 'drain' },
        { workflowId: idOf('other'), state: 'stays paused', reason: 'the disk is being looked at' },
        { workflowId: idOf('second'), state: 'paused', reason: 'drain' },
      ],
    });
    const upstreams = [mended, first.upstream, second.upstream, other.upstream];
    const asked = upstreams.map(({ requests }) => requests.length);
    expect(first.upstream.requests.length).toBeLessThan(300);

    // Behind the back of all commands, as a schedule would.
    const late = await serve(numberedFiles(3, 'late'));
    await penstock.addRepository('late', { url: late.url });
    const syncing = await penstock.startSync('late');
    const cleaning = await startCleaning(penstock, { dryRun: true });
    for (const handle of [syncing, cleaning]) await eventually('it is held back', () => isHeldBack(handle));
    expect(await penstock.sql('select from cleanings')).toEqual([]);

    await penstock.stopWorker();
    for (const each of upstreams) each.delay = 0;
    await penstock.startWorker();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(upstreams.map(({ requests }) => requests.length)).toEqual(asked);
    expect(late.requests).toEqual([]);

    expect(await undrain(place())).toEqual({
      drained: true,
      workflows: [
        { workflowId: repairId, state: 'resumed' },
        { workflowId: idOf('first'), state: 'resumed' },
        { workflowId: idOf('second'), state: 'resumed' },
      ],
    });
    for (const { sync, upstream } of [first, second]) {
      await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 300, downloaded: 300 });
      // Only what was under way is fetched again.
      expect(upstream.repeated.length).toBeLessThanOrEqual(10);
    }
    expect(await repair.result()).toMatchObject({ checked: 1005, lost: 2, mended: 2, failed: 0 });
    expect(mended.requests.sort()).toEqual(lost);
    await expect(penstock.resultOf(syncing)).resolves.toMatchObject({ version: 1, added: 3 });
    await cleaning.result();
    expect(other.upstream.requests).toHaveLength(asked[3] ?? 0);
    await other.sync.executeUpdate(resume);
    await expect(penstock.resultOf(other.sync)).resolves.toMatchObject({ version: 1, added: 300 });
  });

  it('waits for what is just ending, and is harmless where nothing runs, or twice, or is over already', async () => {
    const { sync, upstream } = await startSlowly('ending');
    await sync.executeUpdate(pause, { args: [{ reason: 'drain' }] });
    expect(await drain(place(), options)).toMatchObject({ workflows: [{ state: 'paused' }] });
    const { since } = await drain(place(), options);
    await sync.terminate();
    expect(await drain(place(), options)).toEqual({ since, workflows: [] });
    expect(await undrain(place())).toEqual({
      drained: true,
      workflows: [{ workflowId: idOf('ending'), state: 'ended' }],
    });
    expect(await undrain(place())).toEqual({ drained: false, workflows: [] });
    upstream.delay = 0;
    await expect(penstock.sync('ending')).resolves.toMatchObject({ version: 1, added: 300 });
  });

  it('leaves alone what somebody has paused anew, and takes back what it does when it is ended meanwhile', async () => {
    const { sync, upstream } = await startSlowly('anew');
    await drain(place(), options);
    await sync.executeUpdate(resume);
    await sync.executeUpdate(pause, { args: [{ reason: 'a longer look' }] });
    expect(await undrain(place())).toMatchObject({ workflows: [{ workflowId: idOf('anew'), state: 'left' }] });
    await sync.executeUpdate(resume);
    const before = upstream.served.length;
    await eventually('it goes on', () => upstream.served.length > before);

    // The first look at what is at rest comes when the drain is over already.
    const draining = drain(place(), {
      ...options,
      onWaiting: () => {
        void penstock.sql('delete from drains');
      },
    });
    await expect(draining).rejects.toMatchObject({ name: 'DrainEnded', transient: true });
    upstream.delay = 0;
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 300 });
    expect(await penstock.sql('select from drained_workflows')).toEqual([]);
  });

  async function serve(files: Record<string, string>): Promise<FileRepository> {
    const upstream = await FileRepository.start(files);
    served.push(upstream);
    return upstream;
  }

  /** A sync in the middle of its downloads. */
  async function startSlowly(repository: string): Promise<{ upstream: FileRepository; sync: WorkflowHandle }> {
    const upstream = await serve(numberedFiles(300, repository));
    upstream.delay = 100;
    await penstock.addRepository(repository, { url: upstream.url, download_concurrency: 10 });
    const sync = await penstock.startSync(repository);
    await eventually('some downloads', () => upstream.served.length > 10);
    return { upstream, sync };
  }

  async function isHeldBack(handle: WorkflowHandle): Promise<boolean> {
    const { raw } = await handle.describe();
    return raw.pendingActivities?.[0]?.lastFailure?.applicationFailureInfo?.type === 'Drained';
  }
});
