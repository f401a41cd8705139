import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { defaultPayloadConverter } from '@temporalio/common';
import type { WorkflowHandle } from '@temporalio/client';

import { startSync } from '../../src/syncs/start-sync';
import { handleOf } from '../../src/syncs/sync-workflow';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock } from '../harness/penstock';

describe('what Temporal’s Web UI shows of a sync', () => {
  let penstock: Penstock;
  let handle: WorkflowHandle;

  beforeAll(async () => {
    penstock = await Penstock.start();
    const upstream = await FileRepository.start(numberedFiles(1500));
    await penstock.addRepository('files', { url: upstream.url });
    const starter = { client: penstock.client, taskQueue: penstock.settings.taskQueue };
    const request = { repository: 'files', mode: 'mirror', optimize: true } as const;
    handle = handleOf(penstock.client, await startSync(starter, request));
    await handle.result();
    await upstream.stop();
  });
  afterAll(async () => {
    await penstock.stop();
  });

  it('what is synced, from where and how, and search attributes to find it by', async () => {
    const description = await handle.describe();
    expect(description.workflowId).toBe('sync/files');
    expect(await description.staticSummary()).toBe('files from files · immediate · mirror');
    const attributes = description.typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value] as const);
    expect(Object.fromEntries(attributes.filter(([name]) => name.startsWith('Penstock')))).toEqual({
      PenstockRepository: 'files',
      PenstockPlugin: 'file',
      PenstockPolicy: 'immediate',
      PenstockStage: 'completed',
    });
  });

  it('a summary on each activity', async () => {
    const { events } = await handle.fetchHistory();
    const summaries = (events ?? []).flatMap((event) =>
      event.activityTaskScheduledEventAttributes && event.userMetadata?.summary
        ? [defaultPayloadConverter.fromPayload<string>(event.userMetadata.summary)]
        : [],
    );
    expect(summaries).toHaveLength((events ?? []).filter((event) => event.activityTaskScheduledEventAttributes).length);
    expect(summaries).toEqual(
      expect.arrayContaining([
        'open a version of files',
        'discover contents 1',
        'query existing contents of batch 1',
        'download batch 1 · 1,000 artifacts · 16 kB',
        'save contents of batch 2 · 500 units',
        'complete version 1',
      ]),
    );
  });

  it('the progress as a query, and as a table of the stages', async () => {
    expect(await handle.query('progress')).toMatchObject({
      repository: 'files',
      stage: 'completed',
      version: 1,
      batches: { discovered: 2, finished: 2 },
      discoveries: { opened: 1, finished: 1 },
      stages: expect.arrayContaining([
        expect.objectContaining({ stage: 'downloadArtifacts', batches: 2, units: 1500 }),
      ]),
    });
    const metadata = await handle.query<{
      definition: { queryDefinitions: { name: string; description: string }[] };
      currentDetails: string;
    }>('__temporal_workflow_metadata');
    const query = metadata.definition.queryDefinitions.find(({ name }) => name === 'progress');
    expect(query?.description).toMatch(/^How far the sync is/);
    expect(metadata.currentDetails).toContain('**files**, version 1: completed, 2 of 2 batches, 1 of 1 discoveries');
    expect(metadata.currentDetails).toMatch(/\| stage \| batches \| units \| bytes \| units\/s \|\n\| --- /);
    expect(metadata.currentDetails).toMatch(/\n\| downloadArtifacts \| 2 of 2 \| 1,500 \| 24 kB \| [\d,]+ \|\n/);
  });
});
