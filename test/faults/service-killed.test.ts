import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';

import { findProcesses } from '../../src/embedded/process-table';
import { startServices } from '../../src/embedded/services';
import type { RunningServices, ServiceSettings } from '../../src/embedded/services';
import { makeSettings, removeData } from '../embedded/data-folder';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock, eventually } from '../harness/penstock';
import { HeldLock } from './held-lock';
import { WorkerProcess } from '../harness/worker-process';

jest.setTimeout(120_000);

const concurrency = 10;

describe('while a sync downloads 2,000 files', () => {
  let settings: ServiceSettings;
  let services: RunningServices;
  let penstock: Penstock;
  let worker: WorkerProcess;

  beforeAll(async () => {
    settings = await makeSettings();
    const binDir = dirname(process.env.PENSTOCK_TEST_TEMPORAL_CLI ?? '');
    services = await startServices(settings, { log: () => undefined, binDir });
    const { databaseUrl, temporalAddress = '' } = services;
    penstock = await Penstock.start({ worker: false, services: { databaseUrl, temporalAddress } });
    worker = await WorkerProcess.start(penstock);
  });
  afterAll(async () => {
    await worker.stop();
    await penstock.stop();
    await services.stop();
    await removeData(settings);
  });

  it('PostgreSQL is killed: once it runs again the sync goes on, and loses what was in flight at most', async () => {
    await syncWhile('postgres', async () => {
      // A transaction of the worker is under way: its connection breaks while it is used.
      const lock = await HeldLock.take(penstock.testDatabase.url, 'select 1 from sync_batches for update');
      await lock.awaited();
      const pid = await readFile(join(settings.dataDir, 'postgres', 'data', 'postmaster.pid'), 'utf8');
      process.kill(Number.parseInt(pid, 10), 'SIGKILL');
    });
  });

  it('Temporal is killed: once it runs again the sync goes on, and loses what was in flight at most', async () => {
    await syncWhile('temporal', async () => {
      const file = join(settings.dataDir, 'temporal', 'temporal.db');
      const [server] = await findProcesses((argv) => argv.includes(file));
      process.kill(server?.pid ?? 0, 'SIGKILL');
    });
  });

  /** Syncs a repository, kills a service in the middle, and waits: nobody does anything about it. */
  async function syncWhile(repository: string, kill: () => Promise<void>): Promise<void> {
    const files = numberedFiles(2000, repository);
    const upstream = await FileRepository.start(files);
    upstream.delay = 10;
    try {
      await penstock.addRepository(repository, { url: upstream.url, download_concurrency: concurrency });
      const sync = await penstock.startSync(repository);
      await eventually('the middle of the downloads', () => upstream.served.length > 500);
      await kill();
      expect(upstream.served.length).toBeLessThan(1800);
      const isOver = async () => (await sync.describe().catch(() => undefined))?.status.name === 'COMPLETED';
      await eventually('the sync is complete', isOver, 90_000);

      await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 2000, downloaded: 2000 });
      expect(await penstock.contentsOf(repository, 1)).toEqual(files);
      expect(upstream.requests.filter((path) => path === 'PULP_MANIFEST')).toHaveLength(1);
      expect(upstream.repeated.length).toBeLessThanOrEqual(concurrency);
    } finally {
      await upstream.stop();
    }
  }
});
