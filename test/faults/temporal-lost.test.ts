import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';

import { startServices } from '../../src/embedded/services';
import { findFreePort } from '../../src/embedded/ports';
import type { RunningServices, ServiceSettings } from '../../src/embedded/services';
import { makeSettings, removeData } from '../embedded/data-folder';
import { registerSearchAttributes } from '../../src/temporal';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock, eventually } from '../harness/penstock';

jest.setTimeout(120_000);

describe('a sync whose Temporal has lost its database', () => {
  let settings: ServiceSettings;
  let services: RunningServices;
  let penstock: Penstock;

  const start = async () => {
    const binDir = dirname(process.env.PENSTOCK_TEST_TEMPORAL_CLI ?? '');
    services = await startServices(settings, { log: () => undefined, binDir });
  };

  beforeAll(async () => {
    // PostgreSQL is that of all tests, and keeps what it has; Temporal comes back at the same address.
    const databaseUrl = process.env.PENSTOCK_TEST_DATABASE_URL ?? '';
    settings = await makeSettings({
      databaseUrl,
      ports: { postgres: 0, temporal: await findFreePort(), ui: await findFreePort() },
    });
    await start();
    penstock = await Penstock.start({ services: { databaseUrl, temporalAddress: services.temporalAddress ?? '' } });
  });
  afterAll(async () => {
    await penstock.stop();
    await services.stop();
    await removeData(settings);
  });

  it('goes on with the next one, which nothing but its rows tells where', async () => {
    const files = numberedFiles(1500);
    const upstream = await FileRepository.start(files);
    upstream.delay = 10;
    await penstock.addRepository('files', { url: upstream.url });
    await penstock.startSync('files');
    await eventually('the middle of the downloads', () => upstream.served.length > 300);

    await services.stop();
    await rm(join(settings.dataDir, 'temporal'), { recursive: true });
    await start();
    // As `penstock migrate` does, which `penstock sync` asks for.
    await eventually('its search attributes', () =>
      registerSearchAttributes(penstock.client).then(
        () => true,
        () => false,
      ),
    );
    expect(await penstock.sql('select state from syncs')).toEqual([{ state: 'running' }]);
    expect(upstream.downloads.length).toBeLessThan(1500);

    upstream.delay = 0;
    await expect(penstock.sync('files')).resolves.toMatchObject({ version: 1, added: 1500, downloaded: 1500 });
    expect(await penstock.contentsOf('files', 1)).toEqual(files);
    expect(upstream.repeated.filter((path) => path !== 'PULP_MANIFEST').length).toBeLessThanOrEqual(10);
    await upstream.stop();
  });
});
