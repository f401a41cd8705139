import type { WorkflowHandle } from '@temporalio/client';

import { HeldLock } from '../faults/held-lock';
import { numberedFiles } from '../harness/file-repository';
import type { FileRepository } from '../harness/file-repository';
import { eventually } from '../harness/penstock';
import type { Penstock, RemoteValues } from '../harness/penstock';
import type { WorkerProcess } from '../harness/worker-process';
import type { Scenario, Setting } from './scenario';

/** Syncs whose worker is killed, and that another one finishes. */
export const killScenarios: readonly Scenario[] = [
  {
    name: 'killed-in-discovery',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock, worker } = await addFilesOfProcess(setting, 2100, { policy: 'on_demand' });
      // The first batch is staged and announced, the second waits.
      await penstock.sql(`create function wait() returns trigger language plpgsql as $$
        begin perform pg_advisory_xact_lock(1); return new; end $$`);
      await penstock.sql(
        'create trigger second before insert on sync_batches for each row when (new.number = 2) execute function wait()',
      );
      const lock = await HeldLock.take(penstock.testDatabase.url, 'select pg_advisory_xact_lock(1)');
      const sync = await penstock.startSync('files');
      await lock.awaited();
      await worker.kill();
      await lock.release();
      return finish(penstock, sync);
    },
  },
  {
    name: 'killed-in-download',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock, upstream, worker } = await addFilesOfProcess(setting, 300, { download_concurrency: 10 });
      upstream.delay = 40;
      const sync = await penstock.startSync('files');
      await eventually('some downloads', () => upstream.served.length > 20);
      await worker.kill();
      upstream.delay = 0;
      return finish(penstock, sync);
    },
  },
  {
    name: 'killed-in-completion',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock, worker } = await addFilesOfProcess(setting, 20);
      const lock = await HeldLock.take(penstock.testDatabase.url, 'lock table repository_version_counts in share mode');
      const sync = await penstock.startSync('files');
      await lock.awaited();
      await worker.kill();
      await lock.release();
      return finish(penstock, sync);
    },
  },
];

/** A repository `files` of a Penstock whose worker is a process of its own. */
async function addFilesOfProcess(
  setting: Setting,
  files: number,
  remote: Partial<RemoteValues> = {},
): Promise<{ penstock: Penstock; upstream: FileRepository; worker: WorkerProcess }> {
  const penstock = await setting.penstock({ worker: false });
  const upstream = await setting.upstream(numberedFiles(files));
  await penstock.addRepository('files', { url: upstream.url, ...remote });
  return { penstock, upstream, worker: await setting.workerProcess(penstock) };
}

async function finish(penstock: Penstock, sync: WorkflowHandle): Promise<WorkflowHandle> {
  await penstock.startWorker();
  await sync.result();
  return sync;
}
