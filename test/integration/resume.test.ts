import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { CancelledFailure, TerminatedFailure } from '@temporalio/common';

import { artifactKey } from '../../src/storage/storage';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock, eventually } from '../harness/penstock';

jest.setTimeout(90_000);

const concurrency = 10;
const count = 1000;

describe('a sync that is stopped while it downloads', () => {
  let penstock: Penstock;
  let upstream: FileRepository;

  beforeAll(async () => {
    penstock = await Penstock.start();
  });
  afterAll(async () => {
    await penstock.stop();
  });
  beforeEach(async () => {
    upstream = await FileRepository.start();
    upstream.delay = 20;
  });
  afterEach(async () => {
    await upstream.stop();
  });

  it('is canceled, keeps its version for the next sync, and fetches nothing again that was stored', async () => {
    const sync = await startInTheMiddle('canceled');
    await sync.cancel();
    await expect(penstock.resultOf(sync)).rejects.toBeInstanceOf(CancelledFailure);
    const requests = upstream.requests.length;
    // It has waited for its activities to let go, and they have written down what they had.
    expect(await openActivities(sync)).toEqual([]);
    expect(await countNoted()).toBe(await penstock.countStoredFiles());
    expect(await stateOf('canceled')).toMatchObject({ state: 'canceled', runs: 1, finished: true, error: null });
    expect(await penstock.versionsOf('canceled')).toEqual([0]);
    // Nothing of it goes on behind its back.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(upstream.requests).toHaveLength(requests);

    await completeIn('canceled');
  });

  it('is terminated, which it cannot write down, and the next sync goes on all the same', async () => {
    const sync = await startInTheMiddle('terminated');
    await sync.terminate('for the test');
    await expect(penstock.resultOf(sync)).rejects.toBeInstanceOf(TerminatedFailure);
    expect(await stateOf('terminated')).toMatchObject({ state: 'running', runs: 1, finished: false });
    expect(await penstock.versionsOf('terminated')).toEqual([0]);

    await completeIn('terminated');
  });

  it('fetches a stored file again that no row vouches for, and whose bytes are others', async () => {
    const sync = await startInTheMiddle('rotten');
    await sync.terminate('for the test');
    await penstock.stopWorker();
    // What was stored is forgotten, as where the machine has lost power; and one file has come to the disk as zeros.
    const [rotten] = await penstock.sql<{ sha256: string; size: number }>(
      'select stored_sha256 as sha256, stored_size::int as size from staged_artifacts where stored_sha256 is not null limit 1',
    );
    await penstock.sql('update staged_artifacts set stored_sha256 = null, stored_size = null');
    const file = join(penstock.storageDir, artifactKey(rotten?.sha256 ?? ''));
    await writeFile(file, Buffer.alloc(rotten?.size ?? 0));
    await penstock.startWorker();
    const asked = upstream.downloads.length;
    await expect(penstock.sync('rotten')).resolves.toMatchObject({ version: 1, added: count, downloaded: count });
    expect(await penstock.contentsOf('rotten', 1)).toEqual(numberedFiles(count, 'rotten'));
    // All the others that were stored are found.
    expect(upstream.downloads.length - asked).toBeLessThan(count - count / 10);
  });

  it('lets go of its downloads when its worker is shut down, and goes on with the next worker', async () => {
    // Longer than a worker that shuts down lets its activities go on.
    upstream.delay = 100;
    const sync = await startInTheMiddle('shut-down');
    await penstock.stopWorker();
    expect(upstream.downloads.length).toBeLessThan(count);
    await penstock.startWorker();
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: count, downloaded: count });
    expectNothingLost();
    expect(await stateOf('shut-down')).toMatchObject({ state: 'completed', runs: 1 });
  });

  async function startInTheMiddle(name: string): Promise<WorkflowHandle> {
    for (const [path, content] of Object.entries(numberedFiles(count, name))) upstream.put(path, content);
    await penstock.addRepository(name, { url: upstream.url, download_concurrency: concurrency });
    const sync = await penstock.startSync(name);
    await eventually('the middle of the downloads', () => upstream.served.length > count / 5);
    return sync;
  }

  /** Syncs again: in the same sync, inside the version that was begun. */
  async function completeIn(name: string): Promise<void> {
    const before = await stateOf(name);
    await expect(penstock.sync(name)).resolves.toMatchObject({
      syncId: before?.id,
      version: 1,
      added: count,
      downloaded: count,
    });
    expectNothingLost();
    expect(await stateOf(name)).toMatchObject({ id: before?.id, state: 'completed', runs: 2 });
    expect(await penstock.contentsOf(name, 1)).toEqual(numberedFiles(count, name));
  }

  function expectNothingLost(): void {
    const repeated = upstream.repeated.filter((path) => path !== 'PULP_MANIFEST');
    expect(repeated.length).toBeLessThanOrEqual(concurrency);
    expect(new Set(upstream.downloads).size).toBe(count);
  }

  async function countNoted(): Promise<number> {
    const rows = await penstock.sql('select 1 from staged_artifacts where stored_sha256 is not null');
    return rows.length;
  }

  /** Activities that a history has no end of. */
  async function openActivities(sync: WorkflowHandle): Promise<string[]> {
    const { events } = await sync.fetchHistory();
    const open = new Map<string, string>();
    for (const event of events ?? []) {
      const { activityTaskScheduledEventAttributes: scheduled } = event;
      if (scheduled) open.set(String(event.eventId), scheduled.activityType?.name ?? '');
      const ended =
        event.activityTaskCompletedEventAttributes ??
        event.activityTaskFailedEventAttributes ??
        event.activityTaskTimedOutEventAttributes ??
        event.activityTaskCanceledEventAttributes;
      if (ended) open.delete(String(ended.scheduledEventId));
    }
    return [...open.values()];
  }

  async function stateOf(repository: string) {
    const rows = await penstock.sql<{ id: string; state: string; runs: number; finished: boolean; error: unknown }>(
      `select sync.id, sync.state, sync.runs, sync.finished_at is not null as finished, sync.error
         from syncs sync join repositories repository on repository.id = sync.repository_id
        where repository.name = $1`,
      [repository],
    );
    expect(rows).toHaveLength(1);
    return rows[0];
  }
});
