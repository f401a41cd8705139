import type { ServerResponse } from 'node:http';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import type { WorkflowHandle } from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';

import { changeLimits, pause, progress, resume, retryFailures } from '../../workflows/messages';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock, eventually } from '../harness/penstock';

jest.setTimeout(90_000);

describe('the operators of a sync that runs', () => {
  let penstock: Penstock;

  beforeAll(async () => {
    penstock = await Penstock.start();
  });
  afterAll(async () => {
    await penstock.stop();
  });

  it('pause it, which keeps what was downloaded and asks upstream for nothing more, and resume it', async () => {
    const { upstream, sync } = await startSlowly('paused', 400);
    await sync.executeUpdate(pause, { args: [{ reason: 'the mirror is being moved' }] });
    await eventually('it rests', async () => (await rowOf('paused'))?.paused != null);
    expect(await rowOf('paused')).toMatchObject({ state: 'running', paused: { reason: 'the mirror is being moved' } });
    expect(await sync.query(progress)).toMatchObject({ stage: 'paused', paused: 'the mirror is being moved' });
    expect(await stageOf(sync)).toBe('paused');
    const asked = upstream.requests.length;
    expect(asked).toBeLessThan(400);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(upstream.requests).toHaveLength(asked);

    await sync.executeUpdate(changeLimits, { args: [{ rateLimit: 5000 }] });
    await eventually('they are noted', async () => (await rowOf('paused'))?.limits?.rateLimit === 5000);
    expect(await rowOf('paused')).toMatchObject({ state: 'running', paused: { reason: 'the mirror is being moved' } });

    upstream.delay = 0;
    await sync.executeUpdate(resume);
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 400, downloaded: 400 });
    expect(await rowOf('paused')).toMatchObject({ state: 'completed', paused: null });
    // Only what was under way is fetched again.
    expect(upstream.repeated.length).toBeLessThanOrEqual(10);
    await upstream.stop();
  });

  it('pause and resume it in the same moment, or twice', async () => {
    const { upstream, sync } = await startSlowly('hasty', 200);
    upstream.delay = 1;
    const reason = { reason: 'haste' };
    await Promise.all([
      sync.executeUpdate(pause, { args: [reason] }),
      sync.executeUpdate(resume).catch(() => undefined),
      sync.executeUpdate(pause, { args: [reason] }),
    ]);
    await sync.executeUpdate(resume).catch(() => undefined);
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ added: 200, downloaded: 200 });
    await upstream.stop();
  });

  it('cancel it while it is paused, and the next sync goes on and is not paused', async () => {
    const { upstream, sync } = await startSlowly('canceled', 300);
    await sync.executeUpdate(pause, { args: [{ reason: 'to be canceled' }] });
    await eventually('it rests', async () => (await rowOf('canceled'))?.paused != null);
    await sync.cancel();
    await expect(penstock.resultOf(sync)).rejects.toThrow();
    expect(await rowOf('canceled')).toMatchObject({ state: 'canceled', paused: null });
    upstream.delay = 0;
    await expect(penstock.sync('canceled')).resolves.toMatchObject({ version: 1, added: 300, downloaded: 300 });
    await upstream.stop();
  });

  it('keep it paused when its run continues as new', async () => {
    const upstream = await FileRepository.start(numberedFiles(3000, 'continued'));
    await penstock.addRepository('continued', { url: upstream.url, policy: 'on_demand' });
    const sync = await penstock.startSync('continued', { continueAsNewAfter: 1 });
    await sync.executeUpdate(pause, { args: [{ reason: 'across runs' }] });
    await eventually('it rests', async () => (await rowOf('continued'))?.paused != null);
    await sync.executeUpdate(resume);
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 3000 });
    await upstream.stop();
  });

  it('change how much it may ask of upstream', async () => {
    const { upstream, sync } = await startSlowly('limited', 2000, 4);
    expect(upstream.mostOpen).toBeLessThanOrEqual(4);
    await expect(sync.executeUpdate(changeLimits, { args: [{ downloadConcurrency: 25 }] })).resolves.toEqual({
      downloadConcurrency: 25,
      rateLimit: null,
    });
    await eventually('more at once', () => upstream.mostOpen > 15);
    expect(upstream.mostOpen).toBeLessThanOrEqual(25);
    await expect(sync.executeUpdate(changeLimits, { args: [{ rateLimit: 20 }] })).resolves.toEqual({
      downloadConcurrency: 25,
      rateLimit: 20,
    });
    await eventually('they are noted', async () => (await rowOf('limited'))?.limits?.rateLimit === 20);
    // An activity hears of it with its next heartbeat.
    await eventually('fewer requests a second', async () => {
      const before = upstream.requests.length;
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return upstream.requests.length - before < 30;
    });
    expect(upstream.requests.length).toBeLessThan(2000);
    upstream.delay = 0;
    await sync.executeUpdate(changeLimits, { args: [{ rateLimit: null }] });
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ added: 2000, downloaded: 2000 });
    await upstream.stop();
  });

  it('let it try again what failed, before it ends', async () => {
    const upstream = await FileRepository.start(numberedFiles(1200, 'retried'));
    upstream.misbehave.set('retried-00003.txt', (_, response) => response.writeHead(404).end());
    // The second batch waits for one file until the first is through.
    const held: ServerResponse[] = [];
    upstream.misbehave.set('retried-01100.txt', (_, response) => held.push(response));
    await penstock.addRepository('retried', { url: upstream.url });
    const sync = await penstock.startSync('retried');
    await eventually('the first batch is through', async () => {
      return (await penstock.sql('select from sync_batches where number = 1 and failed = 1')).length > 0;
    });
    upstream.misbehave.clear();
    await sync.executeUpdate(retryFailures);
    for (const response of held) response.writeHead(503).end();
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 1200, downloaded: 1200 });
    expect(upstream.repeated.sort()).toEqual(['retried-00003.txt', 'retried-01100.txt']);
    await upstream.stop();
  });

  it('are refused what makes no sense, without a trace in the history', async () => {
    const { upstream, sync } = await startSlowly('refused', 100);
    const refusals: [Promise<unknown>, string][] = [
      [sync.executeUpdate(resume), 'The sync is not paused.'],
      [sync.executeUpdate('pause', { args: [] }), 'Say why'],
      [sync.executeUpdate(changeLimits, { args: [{}] }), 'Give downloadConcurrency (1 to 1000)'],
      [sync.executeUpdate(changeLimits, { args: [{ downloadConcurrency: 0 }] }), 'Give downloadConcurrency'],
      [sync.executeUpdate(changeLimits, { args: [{ rateLimit: 0.5 }] }), 'Give downloadConcurrency'],
      [sync.executeUpdate(changeLimits, { args: [{ downloadConcurrency: 3, speed: 3 } as never] }), 'Give download'],
    ];
    for (const [refused, message] of refusals) {
      const error: unknown = await refused.catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(WorkflowUpdateFailedError);
      expect((error as WorkflowUpdateFailedError).cause?.message).toContain(message);
    }
    expect(
      (await sync.fetchHistory()).events?.some((event) => event.workflowExecutionUpdateAcceptedEventAttributes),
    ).toBe(false);
    upstream.delay = 0;
    await penstock.resultOf(sync);
    await upstream.stop();
  });

  /** A sync in the middle of its downloads. */
  async function startSlowly(
    repository: string,
    files: number,
    concurrency = 10,
  ): Promise<{ upstream: FileRepository; sync: WorkflowHandle }> {
    const upstream = await FileRepository.start(numberedFiles(files, repository));
    upstream.delay = 40;
    await penstock.addRepository(repository, { url: upstream.url, download_concurrency: concurrency });
    const sync = await penstock.startSync(repository);
    await eventually('some downloads are written down', () => upstream.served.length > 20);
    return { upstream, sync };
  }

  async function rowOf(repository: string) {
    const [row] = await penstock.sql<{
      state: string;
      paused: { reason: string } | null;
      limits: { rateLimit: number | null } | null;
    }>(
      `select sync.state, sync.paused, sync.limits
         from syncs sync join repositories repository on repository.id = sync.repository_id
        where repository.name = $1 order by sync.id desc limit 1`,
      [repository],
    );
    return row;
  }

  async function stageOf(sync: WorkflowHandle): Promise<unknown> {
    const { typedSearchAttributes } = await sync.describe();
    return typedSearchAttributes.get(defineSearchAttributeKey('PenstockStage', 'KEYWORD'));
  }
});
