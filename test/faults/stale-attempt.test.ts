import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';

import { inTransaction } from '../../src/models/database';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock, eventually } from '../harness/penstock';

jest.setTimeout(60_000);

const concurrency = 10;

describe('an attempt that is no longer the current one', () => {
  let penstock: Penstock;

  beforeAll(async () => {
    penstock = await Penstock.start();
  });
  afterAll(async () => {
    await penstock.stop();
  });

  it('can write nothing any more, and what it has fetched is found by a later one', async () => {
    const upstream = await FileRepository.start(numberedFiles(800));
    upstream.delay = 20;
    await penstock.addRepository('files', { url: upstream.url, download_concurrency: concurrency });
    const sync = await penstock.startSync('files');
    await eventually('some downloads are written down', async () => (await noted()).length > 100);

    // A later attempt of the batch begins: all that it does at first is to raise the fence.
    const before = await inTransaction(penstock.database.pool, async (client) => {
      await client.query('update sync_batches set fence = fence + 1');
      return (await client.query<Record<string, unknown>>(notedArtifacts)).rows;
    });
    await expect(penstock.resultOf(sync)).rejects.toMatchObject({ type: 'StaleAttempt', transient: true });
    expect(await noted()).toEqual(before);
    expect(before.length).toBeLessThan(800);
    expect(await penstock.countStoredFiles()).toBeGreaterThan(before.length);
    expect(await penstock.sql('select 1 from artifacts union all select 1 from contents')).toEqual([]);
    expect(await penstock.versionsOf('files')).toEqual([0]);

    await expect(penstock.sync('files')).resolves.toMatchObject({ version: 1, added: 800, downloaded: 800 });
    const repeated = upstream.repeated.filter((path) => path !== 'PULP_MANIFEST');
    expect(repeated.length).toBeLessThanOrEqual(concurrency);
    await upstream.stop();
  });

  it('begins later where the clock of Temporal’s server was set back meanwhile', async () => {
    const upstream = await FileRepository.start(numberedFiles(20, 'late'));
    await penstock.stopWorker();
    await penstock.addRepository('late', { url: upstream.url });
    await penstock.sql(`create function be_ahead() returns trigger language plpgsql as $$
      begin new.fence := extract(epoch from now()) * 1000 + 3000; return new; end $$`);
    await penstock.sql('create trigger ahead before insert on sync_batches for each row execute function be_ahead()');
    await penstock.startWorker();
    await expect(penstock.sync('late')).resolves.toMatchObject({ version: 1, added: 20 });
    await upstream.stop();
  });

  const notedArtifacts = `select relative_path, stored_sha256, stored_size from staged_artifacts
                           where stored_sha256 is not null order by relative_path`;

  function noted() {
    return penstock.sql(notedArtifacts);
  }
});
