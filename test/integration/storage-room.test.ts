import { afterEach, describe, expect, it, jest } from '@jest/globals';

import { resume } from '../../workflows/messages';
import { CrampedStorage } from '../harness/cramped-storage';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock, eventually } from '../harness/penstock';

jest.setTimeout(90_000);

describe('a storage without room', () => {
  let penstock: Penstock;
  let upstream: FileRepository;
  let disk: CrampedStorage;

  async function start(files: number): Promise<void> {
    disk = new CrampedStorage();
    penstock = await Penstock.start({ storage: disk.open });
    upstream = await FileRepository.start(numberedFiles(files));
    await penstock.addRepository('files', { url: upstream.url });
  }

  afterEach(async () => {
    await upstream.stop();
    await penstock.stop();
  });

  it('is an error before the first download, with what is needed and what is there', async () => {
    await start(3000);
    disk.room = { free: 5_000, total: 100_000 };
    const error: unknown = await penstock.sync('files').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ type: 'NotEnoughRoom', transient: true });
    expect((error as Error).message).toMatch(/Repository "files": 0\.\d MB are to be downloaded, .* room for 0\.0 MB/);
    expect(upstream.downloads).toEqual([]);
    disk.room = { free: 1e9, total: 1e9 };
    await expect(penstock.sync('files')).resolves.toMatchObject({ version: 1, added: 3000 });
    // What is stored already needs no room.
    disk.room = { free: 0, total: 1e9 };
    await penstock.addRepository('again', { url: upstream.url });
    await expect(penstock.sync('again')).resolves.toMatchObject({ version: 1, added: 3000, downloaded: 0 });
  });

  it('pauses a sync in the middle, and it goes on once there is room', async () => {
    await start(2500);
    upstream.delay = 5;
    const sync = await penstock.startSync('files');
    await eventually('some are stored', async () => (await downloaded()) > 50);
    disk.full = true;
    await eventually('it is paused', async () => (await paused()) !== undefined);
    expect(await paused()).toMatch(/Repository "files": No space is left in .*storage.* bytes could not be written/);
    expect(await penstock.sql('select from sync_failures')).toEqual([]);
    const asked = upstream.requests.length;
    disk.full = false;
    await sync.executeUpdate(resume);
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 2500, downloaded: 2500 });
    expect(upstream.requests.length - asked).toBeLessThan(2500);
  });

  async function downloaded(): Promise<number> {
    const [row] = await penstock.sql<{ sum: number }>('select sum(downloaded)::int as sum from sync_batches');
    return row?.sum ?? 0;
  }

  async function paused(): Promise<string | undefined> {
    const [row] = await penstock.sql<{ paused: { reason: string } }>(
      'select paused from syncs where paused is not null',
    );
    return row?.paused.reason;
  }
});
