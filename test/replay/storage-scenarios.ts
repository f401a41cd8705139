import { resume } from '../../workflows/messages';
import { CrampedStorage } from '../harness/cramped-storage';
import { numberedFiles } from '../harness/file-repository';
import { eventually } from '../harness/penstock';
import type { Scenario, Setting } from './scenario';

/** Syncs into a storage without room. */
export const storageScenarios: readonly Scenario[] = [
  {
    name: 'not-enough-room',
    status: 'FAILED',
    run: async (setting) => {
      const { penstock, disk } = await addFilesToDisk(setting);
      disk.room = { free: 100, total: 100_000 };
      const sync = await penstock.startSync('files');
      await sync.result().catch(() => undefined);
      return sync;
    },
  },
  {
    name: 'paused-by-full-storage',
    status: 'COMPLETED',
    run: async (setting) => {
      const { penstock, upstream, disk } = await addFilesToDisk(setting);
      upstream.delay = 100;
      const sync = await penstock.startSync('files');
      await eventually('some downloads', () => upstream.served.length > 20);
      disk.full = true;
      await eventually('it rests', async () => {
        return (await penstock.sql('select from syncs where paused is not null')).length > 0;
      });
      disk.full = false;
      await sync.executeUpdate(resume);
      await sync.result();
      return sync;
    },
  },
];

async function addFilesToDisk(setting: Setting) {
  const disk = new CrampedStorage();
  const penstock = await setting.penstock({ storage: disk.open });
  const upstream = await setting.upstream(numberedFiles(100));
  await penstock.addRepository('files', { url: upstream.url, download_concurrency: 10 });
  return { penstock, upstream, disk };
}
