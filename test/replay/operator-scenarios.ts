import type { ServerResponse } from 'node:http';

import type { WorkflowHandle } from '@temporalio/client';

import { changeLimits, pause, resume, retryFailures } from '../../workflows/messages';
import type { SyncRepositoryInput } from '../../workflows/sync-repository';
import { eventually } from '../harness/penstock';
import type { Penstock } from '../harness/penstock';
import { resetWorkflow } from '../harness/reset-workflow';
import type { Scenario, Setting } from './scenario';
import { addFiles } from './sync-scenarios';

/** Syncs that somebody does something to while they run. */
export const operatorScenarios: readonly Scenario[] = [
  {
    name: 'canceled-in-download',
    status: 'CANCELLED',
    run: async (setting) => {
      const { sync } = await startSlowly(setting);
      await sync.cancel();
      await sync.result().catch(() => undefined);
      return sync;
    },
  },
  {
    name: 'paused',
    status: 'RUNNING',
    run: async (setting) => {
      const { penstock, sync } = await startSlowly(setting);
      await pauseSync(penstock, sync);
      return sync;
    },
  },
  {
    name: 'paused-and-resumed',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock, upstream, sync } = await startSlowly(setting);
      await pauseSync(penstock, sync);
      upstream.delay = 0;
      await sync.executeUpdate(resume);
      await sync.result();
      return sync;
    },
  },
  {
    name: 'canceled-while-paused',
    status: 'CANCELLED',
    run: async (setting) => {
      const { penstock, sync } = await startSlowly(setting);
      await pauseSync(penstock, sync);
      await sync.cancel();
      await sync.result().catch(() => undefined);
      return sync;
    },
  },
  {
    name: 'paused-across-continue-as-new',
    status: 'COMPLETED',
    run: async (setting) => {
      // The first batch is over, and the run only waits for the second: it continues as new, and is paused there.
      const { penstock, sync, release } = await startUntilSecondBatch(setting, {
        continueAsNewAfter: 1,
        allowMissing: { contents: 1 },
      });
      await pauseSync(penstock, sync);
      release();
      await sync.executeUpdate(resume);
      await sync.result();
      return sync;
    },
  },
  {
    name: 'limits-changed',
    status: 'COMPLETED',
    run: async (setting) => {
      const { upstream, sync } = await startSlowly(setting);
      await sync.executeUpdate(changeLimits, { args: [{ downloadConcurrency: 3, rateLimit: 1000 }] });
      upstream.delay = 0;
      await sync.result();
      return sync;
    },
  },
  {
    name: 'limits-changed-while-paused',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock, upstream, sync } = await startSlowly(setting);
      await pauseSync(penstock, sync);
      await sync.executeUpdate(changeLimits, { args: [{ rateLimit: 1000 }] });
      upstream.delay = 0;
      await sync.executeUpdate(resume);
      await sync.result();
      return sync;
    },
  },
  {
    name: 'retried-while-running',
    status: 'COMPLETED',
    run: async (setting) => {
      const { sync, release } = await startUntilSecondBatch(setting);
      await sync.executeUpdate(retryFailures);
      release();
      await sync.result();
      return sync;
    },
  },
  {
    name: 'reset',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock, upstream, sync } = await startSlowly(setting);
      const again = await resetWorkflow(penstock, sync, 0.5);
      upstream.delay = 0;
      await again.result();
      return again;
    },
  },
  {
    name: 'terminated',
    status: 'TERMINATED',
    run: async (setting) => {
      const { sync } = await startSlowly(setting);
      await sync.terminate('by hand');
      return sync;
    },
  },
];

/** A sync in the middle of its downloads. */
async function startSlowly(setting: Setting) {
  const { penstock, upstream } = await addFiles(setting, 100, { download_concurrency: 10 });
  upstream.delay = 200;
  const sync = await penstock.startSync('files');
  await eventually('some downloads', () => upstream.served.length > 20);
  return { penstock, upstream, sync };
}

/** A sync whose first batch is over, but for a file that could not be had, and whose second waits for a file. */
async function startUntilSecondBatch(setting: Setting, options: Partial<SyncRepositoryInput> = {}) {
  const { penstock, upstream } = await addFiles(setting, 110);
  const held: ServerResponse[] = [];
  upstream.misbehave.set('file-00003.txt', (_, response) => response.writeHead(404).end());
  upstream.misbehave.set('file-00105.txt', (_, response) => held.push(response));
  const sync = await penstock.startSync('files', options);
  await eventually('the first batch is over', async () => {
    return (await penstock.sql('select from sync_batches where number = 1 and failed = 1')).length > 0;
  });
  const release = () => {
    upstream.misbehave.clear();
    for (const response of held) response.writeHead(503).end();
  };
  return { penstock, sync, release };
}

async function pauseSync(penstock: Penstock, sync: WorkflowHandle): Promise<void> {
  await sync.executeUpdate(pause, { args: [{ reason: 'the mirror is being moved' }] });
  await eventually('it rests', async () => {
    return (await penstock.sql('select from syncs where paused is not null')).length > 0;
  });
}
