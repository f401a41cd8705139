import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';

import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock } from '../harness/penstock';
import { WorkerProcess } from '../harness/worker-process';

jest.setTimeout(120_000);

describe('syncs at the same time', () => {
  let penstock: Penstock;
  let workers: WorkerProcess[];

  beforeAll(async () => {
    penstock = await Penstock.start({ worker: false });
    workers = await Promise.all([WorkerProcess.start(penstock), WorkerProcess.start(penstock)]);
  });
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
    await penstock.stop();
  });

  it('are refused for one repository, and the one that runs is not disturbed', async () => {
    const upstream = await FileRepository.start(numberedFiles(100, 'twice'));
    upstream.delay = 50;
    await penstock.addRepository('twice', { url: upstream.url });
    const first = await penstock.startSync('twice');
    await expect(penstock.startSync('twice')).rejects.toBeInstanceOf(WorkflowExecutionAlreadyStartedError);
    await expect(penstock.resultOf(first)).resolves.toMatchObject({ version: 1, added: 100 });
    expect(upstream.requests).toHaveLength(101);
    await upstream.stop();
  });

  it('of four repositories with the same content wait for nobody in a circle, and store every file once', async () => {
    const files = numberedFiles(2000, 'shared');
    const before = { stored: await penstock.countStoredFiles(), deadlocks: await deadlocks() };
    // Each upstream lists them in another order, so that the batches overlap in every way.
    const upstreams = await Promise.all([1, 3, 7, 1999].map((step) => FileRepository.start(inSteps(files, step))));
    const names = upstreams.map((_, index) => `shared-${index}`);
    for (const [index, { url }] of upstreams.entries()) await penstock.addRepository(`shared-${index}`, { url });

    const syncs = await Promise.all(names.map((name) => penstock.startSync(name)));
    const outcomes = await Promise.all(syncs.map((sync) => penstock.resultOf(sync)));
    for (const outcome of outcomes) expect(outcome).toMatchObject({ version: 1, added: 2000, present: 2000 });

    for (const sync of syncs) expect(await mostAttempts(sync)).toBe(1);
    // A backend tells the statistics about itself once it is idle for a second.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(await deadlocks()).toBe(before.deadlocks);
    for (const name of names) expect(await penstock.pathsOf(name, 1)).toEqual(Object.keys(files));
    expect(await penstock.contentsOf('shared-0', 1)).toEqual(files);
    const rows = `select count(*)::int as artifacts, (select count(*)::int from file_contents where relative_path like 'shared-%') as contents
                    from artifacts where id in (select artifact_id from content_artifacts where relative_path like 'shared-%')`;
    expect(await penstock.sql(rows)).toEqual([{ artifacts: 2000, contents: 2000 }]);
    expect(await penstock.countStoredFiles()).toBe(before.stored + 2000);
    expect(await readdir(join(penstock.storageDir, 'tmp'))).toEqual([]);
    await Promise.all(upstreams.map((upstream) => upstream.stop()));
  });

  async function deadlocks(): Promise<number> {
    const rows = await penstock.sql<{ deadlocks: number }>(
      'select deadlocks::int as deadlocks from pg_stat_database where datname = current_database()',
    );
    return rows[0]?.deadlocks ?? 0;
  }

  /** How often the least lucky activity of a sync was tried. */
  async function mostAttempts(sync: Awaited<ReturnType<Penstock['startSync']>>): Promise<number> {
    const { events } = await sync.fetchHistory();
    const attempts = events?.map((event) => event.activityTaskStartedEventAttributes?.attempt ?? 0) ?? [];
    return Math.max(...attempts);
  }
});

/** The same files in another order: every so many, around and around. The step has no factor in common with their number. */
function inSteps(files: Record<string, string>, step: number): Record<string, string> {
  const entries = Object.entries(files);
  const ordered = entries.map((_, index) => entries[(index * step) % entries.length]);
  return Object.fromEntries(ordered.filter((entry) => entry !== undefined));
}
