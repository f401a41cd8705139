import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';

import { pauseSync, resumeSync } from '../../src/syncs/operate-sync';
import { startSync } from '../../src/syncs/start-sync';
import { findSyncOf } from '../../src/syncs/sync-views';
import { findRunning, handleOf } from '../../src/syncs/sync-workflow';
import { waitForSync } from '../../src/syncs/wait-for-sync';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock, eventually } from '../harness/penstock';
import { resetWorkflow } from '../harness/reset-workflow';

jest.setTimeout(120_000);

describe('a sync that is reset', () => {
  let penstock: Penstock;

  beforeAll(async () => {
    penstock = await Penstock.start();
  });
  afterAll(async () => {
    await penstock.stop();
  });

  it('to any workflow task while it runs, goes on and loses nothing', async () => {
    const files = numberedFiles(2200, 'running');
    const upstream = await FileRepository.start(files);
    upstream.delay = 20;
    await penstock.addRepository('running', { url: upstream.url, download_concurrency: 20 });
    let sync = await penstock.startSync('running');
    for (const place of [0, 0.5, 1]) {
      const before = upstream.served.length;
      await eventually('some more downloads', () => upstream.served.length > before + 100);
      sync = await resetWorkflow(penstock, sync, place);
    }
    upstream.delay = 0;
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 2200, present: 2200 });
    expect(await penstock.contentsOf('running', 1)).toEqual(files);
    // Each reset costs what was under way: in the run before it, until that has heard of its end, and in the one that shares it.
    expect(upstream.repeated.filter((path) => path !== 'PULP_MANIFEST').length).toBeLessThanOrEqual(3 * 2 * 20);
    await upstream.stop();
  });

  it('while it runs, is followed to its end, and heard by operators', async () => {
    const upstream = await FileRepository.start(numberedFiles(400, 'followed'));
    upstream.delay = 40;
    await penstock.addRepository('followed', { url: upstream.url, download_concurrency: 10 });
    const { client, settings } = penstock;
    const before = await startSync(
      { client, taskQueue: settings.taskQueue },
      { repository: 'followed', mode: 'additive', optimize: true },
    );
    await eventually('some downloads', () => upstream.served.length > 20);
    const ends = [waitForSync(client, before, 'followed')];
    await resetWorkflow(penstock, handleOf(client, before), 0);
    const after = await findRunning(client, 'followed');
    if (!after) throw new Error('the sync goes on');
    expect(after).toMatchObject({ runId: before.runId });
    expect(after.currentRunId).not.toBe(before.runId);
    ends.push(waitForSync(client, after, 'followed'));
    await pauseSync(client, 'followed', 'to be resumed');
    await resumeSync(client, 'followed');
    await eventually('it is found', async () => (await findSyncOf(after))?.runs === 2);
    upstream.delay = 0;
    for (const end of ends) await expect(end).resolves.toMatchObject({ version: 1, added: 400 });
    await upstream.stop();
  });

  it.each([0, 0.3])('after it has failed, to a task before that (%d), tries again what failed', async (place) => {
    const name = `failed-${place * 10}`;
    const upstream = await FileRepository.start(numberedFiles(300, name));
    upstream.misbehave.set(`${name}-00007.txt`, (_, response) => response.writeHead(404).end());
    await penstock.addRepository(name, { url: upstream.url, max_retries: 0 });
    const sync = await penstock.startSync(name);
    await expect(penstock.resultOf(sync)).rejects.toMatchObject({ type: 'SyncIncomplete' });
    upstream.misbehave.clear();
    upstream.forget();
    const again = await resetWorkflow(penstock, sync, place);
    await expect(penstock.resultOf(again)).resolves.toMatchObject({ version: 1, present: 300 });
    expect(upstream.downloads).toEqual([`${name}-00007.txt`]);
    await upstream.stop();
  });

  it('after it has failed, to the task that was to complete its version, fails for the same reason', async () => {
    const upstream = await FileRepository.start(numberedFiles(5, 'incomplete'));
    upstream.misbehave.set('incomplete-00001.txt', (_, response) => response.writeHead(404).end());
    await penstock.addRepository('incomplete', { url: upstream.url, max_retries: 0 });
    const sync = await penstock.startSync('incomplete');
    await expect(penstock.resultOf(sync)).rejects.toMatchObject({ type: 'SyncIncomplete' });
    // After it come the one that notes the end, and the one that ends.
    const again = await resetWorkflow(penstock, sync, -3);
    await expect(penstock.resultOf(again)).rejects.toMatchObject({ type: 'SyncIncomplete' });
    await upstream.stop();
  });

  it('after it has completed, changes nothing', async () => {
    const upstream = await FileRepository.start(numberedFiles(50, 'completed'));
    await penstock.addRepository('completed', { url: upstream.url });
    const sync = await penstock.startSync('completed');
    await penstock.resultOf(sync);
    for (const place of [0, 0.3, 0.6, 1]) {
      const again = await resetWorkflow(penstock, sync, place);
      await expect(penstock.resultOf(again)).resolves.toMatchObject({ version: 1, present: 50 });
    }
    expect(await penstock.versionsOf('completed')).toEqual([0, 1]);
    await upstream.stop();
  });
});
