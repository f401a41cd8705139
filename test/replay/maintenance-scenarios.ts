import { rm } from 'node:fs/promises';

import type { WorkflowHandle } from '@temporalio/client';

import { pause, resume } from '../../workflows/messages';
import { addAlternate, startRefresh } from '../alternates/mirrors';
import { numberedFiles } from '../harness/file-repository';
import { eventually } from '../harness/penstock';
import type { Penstock } from '../harness/penstock';
import { startCleaning, startDownload, startReclaim, startRepair, storedAt } from '../maintenance/maintenance';
import type { Scenario, Setting } from './scenario';
import { addFiles, runSync } from './sync-scenarios';

/** Repairs, cleanings, downloads, reclaims and refreshes. */
export const maintenanceScenarios: readonly Scenario[] = [
  {
    name: 'repairing',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock } = await syncFiles(setting, 10);
      return ended(await startRepair(penstock));
    },
  },
  {
    name: 'repair-paused',
    status: 'RUNNING',
    run: async (setting) => {
      const { penstock } = await syncFiles(setting, 10);
      return startPaused(penstock);
    },
  },
  {
    name: 'repair-paused-and-resumed',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock } = await syncFiles(setting, 10);
      const repair = await startPaused(penstock);
      await repair.executeUpdate(resume);
      return ended(repair);
    },
  },
  {
    name: 'repair-continued-as-new',
    status: 'CONTINUED_AS_NEW',
    run: async (setting) => {
      // More than is looked at before an activity asks itself whether its time is over, which it then is.
      const { penstock, upstream } = await syncFiles(setting, 1001);
      await rm(storedAt(penstock, 'file number 0\n'));
      upstream.delay = 5000;
      const repair = await startRepair(penstock, { continueAsNewAfter: 1, missingOnly: true });
      const { runId } = await repair.describe();
      await repair.result();
      return penstock.client.workflow.getHandle(repair.workflowId, runId);
    },
  },
  {
    name: 'cleaning',
    status: 'COMPLETED',
    run: async (setting) => ended(await startCleaning(await setting.penstock())),
  },
  {
    name: 'downloading',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock } = await deferFiles(setting);
      return ended(await startDownload(penstock));
    },
  },
  {
    name: 'download-paused',
    status: 'RUNNING',
    run: async (setting) => (await pauseDownload(setting)).download,
  },
  {
    name: 'download-paused-and-resumed',
    status: 'COMPLETED',
    run: async (setting) => {
      const { upstream, download } = await pauseDownload(setting);
      upstream.delay = 0;
      await download.executeUpdate(resume);
      return ended(download);
    },
  },
  {
    name: 'download-canceled',
    status: 'CANCELLED',
    run: async (setting) => {
      const { download } = await startSlowDownload(setting);
      await download.cancel();
      await download.result().catch(() => undefined);
      return download;
    },
  },
  {
    name: 'reclaiming',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock } = await syncFiles(setting, 10);
      return ended(await startReclaim(penstock));
    },
  },
  {
    name: 'reclaim-refused',
    status: 'FAILED',
    run: async (setting) => {
      const reclaim = await startReclaim(await setting.penstock());
      await reclaim.result().catch(() => undefined);
      return reclaim;
    },
  },
  {
    name: 'refreshing',
    status: 'COMPLETED',
    run: async (setting) => ended(await startRefresh(await addMirror(setting, numberedFiles(10)), 'mirror')),
  },
  {
    name: 'refresh-failed',
    status: 'FAILED',
    run: async (setting) => {
      const refresh = await startRefresh(await addMirror(setting, {}, 'no manifest'), 'mirror');
      await refresh.result().catch(() => undefined);
      return refresh;
    },
  },
];

async function addMirror(setting: Setting, files: Record<string, string>, manifest?: string): Promise<Penstock> {
  const penstock = await setting.penstock();
  const mirror = await setting.upstream(files);
  mirror.putManifest(manifest);
  await addAlternate(penstock, 'mirror', mirror);
  return penstock;
}

async function syncFiles(setting: Setting, files: number): ReturnType<typeof addFiles> {
  const added = await addFiles(setting, files);
  await runSync(added.penstock);
  return added;
}

/** A repository `files` of which nothing is stored. */
async function deferFiles(setting: Setting): ReturnType<typeof addFiles> {
  const added = await addFiles(setting, 200, { policy: 'on_demand', download_concurrency: 4 });
  await runSync(added.penstock);
  return added;
}

/** A download in the middle of its first batch, which ends before all files are there. */
async function startSlowDownload(setting: Setting) {
  const { penstock, upstream } = await deferFiles(setting);
  upstream.delay = 150;
  const download = await startDownload(penstock);
  await eventually('some downloads', () => upstream.served.length > 5);
  return { upstream, download };
}

async function pauseDownload(setting: Setting) {
  const { upstream, download } = await startSlowDownload(setting);
  await download.executeUpdate(pause, { args: [{ reason: 'the mirror is being moved' }] });
  await eventually('it rests', async () => {
    const { raw } = await download.describe();
    return (raw.pendingActivities ?? []).length === 0;
  });
  return { upstream, download };
}

/** A repair that was told to pause before a worker has seen it: it has begun, and looked at nothing yet. */
async function startPaused(penstock: Penstock): Promise<WorkflowHandle> {
  await penstock.stopWorker();
  const repair = await startRepair(penstock);
  const pausing = repair.executeUpdate(pause, { args: [{ reason: 'a look at the disk' }] });
  await penstock.startWorker();
  await pausing;
  await eventually('it has begun', async () => (await penstock.sql('select from repairs')).length > 0);
  return repair;
}

async function ended(workflow: WorkflowHandle): Promise<WorkflowHandle> {
  await workflow.result();
  return workflow;
}
