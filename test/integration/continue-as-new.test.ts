import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';

import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock } from '../harness/penstock';

jest.setTimeout(120_000);

describe('a sync that continues as new early', () => {
  let penstock: Penstock;

  beforeAll(async () => {
    penstock = await Penstock.start();
  });
  afterAll(async () => {
    await penstock.stop();
  });

  // More batches than go through the stages at once, so that some are open when the first run ends.
  it.each(['on_demand', 'immediate'])('in the middle of open batches loses nothing (%s)', async (policy) => {
    const paths = Object.keys(numberedFiles(12_000, policy));
    const upstream = await FileRepository.start();
    for (const [index, path] of paths.entries()) upstream.put(path, `content ${index % 1000} of ${policy}`);
    await penstock.addRepository(policy, { url: upstream.url, policy });
    const sync = await penstock.startSync(policy, { continueAsNewAfter: 1 });
    await expect(penstock.resultOf(sync).finally(() => upstream.stop())).resolves.toMatchObject({
      version: 1,
      added: 12_000,
      present: 12_000,
    });

    const [last, ...earlier] = await runsOf(policy);
    expect(last).toBe('COMPLETED');
    expect(earlier.length).toBeGreaterThan(0);
    expect(new Set(earlier)).toEqual(new Set(['CONTINUED_AS_NEW']));
    expect(await penstock.pathsOf(policy, 1)).toEqual(paths);
    expect(upstream.repeated).toEqual([]);
    const stored = Object.values(await penstock.contentsOf(policy, 1));
    expect(new Set(stored).size).toBe(policy === 'on_demand' ? 0 : 1000);
  });

  /** How the runs of a sync have ended, the last one first. */
  async function runsOf(repository: string): Promise<string[]> {
    const { workflow } = penstock.client;
    const workflowId = penstock.workflowId(repository);
    const runs: string[] = [];
    for (let runId = (await workflow.getHandle(workflowId).describe()).runId; runId !== '';) {
      const run: WorkflowHandle = workflow.getHandle(workflowId, runId);
      runs.push((await run.describe()).status.name);
      const [started] = (await run.fetchHistory()).events ?? [];
      runId = started?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId ?? '';
    }
    return runs;
  }
});
