import { afterAll, beforeAll, expect, it } from '@jest/globals';

import type { ActivityDependencies } from '../../activities';
import { noteSync } from '../../activities/note-sync';
import { reopenFailures } from '../../activities/reopen-failures';
import { Attempt } from '../crash-points/attempt';
import { FailedSync, Penstock } from '../harness/penstock';
import { FileRepository, numberedFiles } from '../harness/file-repository';

let penstock: Penstock;
let syncId: string;

beforeAll(async () => {
  penstock = await Penstock.start();
  const upstream = await FileRepository.start(numberedFiles(3));
  upstream.misbehave.set('file-00001.txt', (_, response) => response.writeHead(404).end());
  await penstock.addRepository('files', { url: upstream.url, max_retries: 0 });
  await expect(penstock.sync('files')).rejects.toBeInstanceOf(FailedSync);
  await upstream.stop();
  const [sync] = await penstock.sql<{ id: string }>(
    `update syncs set state = 'running', finished_at = null, error = null returning id`,
  );
  syncId = sync?.id ?? '';
});
afterAll(async () => {
  await penstock.stop();
});

/** Runs an activity as an attempt that was scheduled so many milliseconds from now. */
function attempt<T>(later: number, activity: (dependencies: ActivityDependencies) => () => Promise<T>): Promise<T> {
  const context = new Attempt({
    ...{ activityType: 'activity', object: 'sync', runId: 'run', fence: Date.now() + later },
    death: new AbortController().signal,
    send: () => Promise.resolve(),
  });
  return context.run(activity({ database: penstock.database } as ActivityDependencies));
}

const note = (later: number, paused: string | null) =>
  attempt(later, (dependencies) => () => noteSync(dependencies)({ syncId, paused }));
const reopen = (later: number) => attempt(later, (dependencies) => () => reopenFailures(dependencies)({ syncId }));

it('an attempt to note a pause that comes after the sync was resumed notes nothing', async () => {
  await note(10_000, 'maintenance');
  await note(20_000, null);
  await expect(note(10_000, 'maintenance')).rejects.toThrow('this attempt is not the current one');
  expect(await penstock.sql('select paused from syncs')).toEqual([{ paused: null }]);
});

it('an attempt to open what failed that comes after it has failed again opens nothing', async () => {
  const failed = () => penstock.sql('select failed from sync_batches');
  await reopen(30_000);
  expect(await failed()).toEqual([{ failed: 0 }]);
  await reopen(40_000);
  await penstock.sql('update sync_batches set failed = 1');
  await reopen(30_000);
  expect(await failed()).toEqual([{ failed: 1 }]);
});
