import type { WorkflowHandle } from '@temporalio/client';

import type { SyncRepositoryInput } from '../../workflows/sync-repository';
import { numberedFiles } from '../harness/file-repository';
import type { FileRepository } from '../harness/file-repository';
import type { Penstock, RemoteValues } from '../harness/penstock';
import type { Scenario, Setting } from './scenario';

/** Syncs that run to their end by themselves. */
export const syncScenarios: readonly Scenario[] = [
  {
    name: 'plain',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock } = await addFiles(setting, 250);
      return runSync(penstock);
    },
  },
  {
    name: 'skipped',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock } = await addFiles(setting, 10);
      await runSync(penstock);
      return runSync(penstock);
    },
  },
  {
    name: 'mirror',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock, upstream } = await addFiles(setting, 150);
      await runSync(penstock, { mode: 'mirror' });
      upstream.remove('file-00000.txt');
      upstream.put('another.txt', 'another');
      return runSync(penstock, { mode: 'mirror' });
    },
  },
  {
    name: 'on-demand',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock } = await addFiles(setting, 150, { policy: 'on_demand' });
      return runSync(penstock);
    },
  },
  {
    name: 'failed',
    status: 'FAILED',
    run: async (setting) => {
      const { penstock } = await addFilesWithLost(setting, 150);
      return runSync(penstock);
    },
  },
  {
    name: 'resumed',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock, upstream } = await addFilesWithLost(setting, 150);
      await runSync(penstock);
      upstream.misbehave.clear();
      return runSync(penstock);
    },
  },
  {
    name: 'completed-with-missing',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock } = await addFilesWithLost(setting, 20);
      return runSync(penstock, { allowMissing: { contents: 1 } });
    },
  },
  {
    name: 'only-missing',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock, upstream } = await addFilesWithLost(setting, 20);
      await runSync(penstock);
      upstream.misbehave.clear();
      return runSync(penstock, { onlyMissing: true });
    },
  },
  {
    name: 'bad-metadata',
    status: 'FAILED',
    run: async (setting) => {
      const { penstock, upstream } = await addFiles(setting, 0);
      upstream.putManifest('this is no manifest\n');
      return runSync(penstock);
    },
  },
  {
    name: 'drained',
    status: 'COMPLETED',
    run: async (setting) => {
      // It was to continue as new after its first batch, with which everything is over.
      const { penstock, upstream } = await addFiles(setting, 20);
      upstream.delay = 300;
      const sync = await penstock.startSync('files', { continueAsNewAfter: 1 });
      const { runId } = await sync.describe();
      await sync.result();
      return penstock.client.workflow.getHandle(sync.workflowId, runId);
    },
  },
];

/** A repository `files` of a Penstock with a worker. */
export async function addFiles(
  setting: Setting,
  files: number,
  remote: Partial<RemoteValues> = {},
): Promise<{ penstock: Penstock; upstream: FileRepository }> {
  const penstock = await setting.penstock();
  const upstream = await setting.upstream(numberedFiles(files));
  await penstock.addRepository('files', { url: upstream.url, ...remote });
  return { penstock, upstream };
}

/** One of every 70 files cannot be had. */
async function addFilesWithLost(setting: Setting, files: number): ReturnType<typeof addFiles> {
  const added = await addFiles(setting, files, { max_retries: 0 });
  for (const path of added.upstream.paths.filter((_, index) => index % 70 === 1)) {
    added.upstream.misbehave.set(path, (_, response) => response.writeHead(404).end());
  }
  return added;
}

/** Syncs `files` to its end, good or bad: which one it is to be the scenario says. */
export async function runSync(penstock: Penstock, options: Partial<SyncRepositoryInput> = {}): Promise<WorkflowHandle> {
  const sync = await penstock.startSync('files', options);
  await sync.result().catch(() => undefined);
  return sync;
}
