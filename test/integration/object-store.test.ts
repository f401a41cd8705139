import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';

import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';

import { artifactKey } from '../../src/storage/storage';
import { describePlace } from '../../src/storage/storage-place';
import { inspect, putOldFile } from '../consistency/inspection';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock, eventually } from '../harness/penstock';
import { WorkerProcess } from '../harness/worker-process';
import { clean, storedAt } from '../maintenance/maintenance';
import { ObjectStore } from '../services/object-store';

jest.setTimeout(90_000);

const concurrency = 10;

describe('syncs into an object store', () => {
  let store: ObjectStore;
  let penstock: Penstock;
  let upstream: FileRepository;

  beforeAll(async () => {
    store = await ObjectStore.start();
    penstock = await Penstock.start({ objectStore: store });
    upstream = await FileRepository.start();
  });
  afterAll(async () => {
    await upstream.stop();
    await penstock.stop();
    await store.stop();
  });
  beforeEach(() => {
    upstream.delay = 0;
    upstream.forget();
  });

  async function add(name: string, files: Record<string, string>, policy = 'immediate'): Promise<void> {
    for (const path of [...upstream.paths]) upstream.remove(path);
    for (const [path, content] of Object.entries(files)) upstream.put(path, content);
    await penstock.addRepository(name, { url: upstream.url, policy, download_concurrency: concurrency });
  }

  const artifactOf = (content: string) => storedAt(penstock, content);

  it('go on after the worker was killed, and fetch no more again than what was under way', async () => {
    const files = numberedFiles(300, 'killed');
    await add('killed', files);
    upstream.delay = 20;
    await penstock.stopWorker();
    const killed = await WorkerProcess.start(penstock);
    const sync = await penstock.startSync('killed');
    await eventually('the middle of the downloads', () => upstream.served.length > 100);
    await killed.kill();
    await penstock.startWorker();
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 300 });
    expect(upstream.repeated.length).toBeLessThanOrEqual(concurrency);
    expect(await penstock.contentsOf('killed', 1)).toEqual(files);
  });

  it('wait while the store is away, and lose nothing', async () => {
    const files = numberedFiles(200, 'away');
    await add('away', files);
    upstream.delay = 10;
    const sync = await penstock.startSync('away');
    await eventually('some are stored', () => existsSync(penstock.storageDir) && upstream.served.length > 40);
    await store.kill();
    await eventually('an activity waits for its next attempt', async () => {
      const { raw } = await sync.describe();
      const failures = (raw.pendingActivities ?? []).map(({ lastFailure }) => lastFailure);
      return failures.some((failure) => failure?.applicationFailureInfo?.type === 'StorageUnreachable');
    });
    await store.startAgain();
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 200, downloaded: 200 });
    expect(await penstock.sql('select from sync_failures')).toEqual([]);
    expect(await penstock.contentsOf('away', 1)).toEqual(files);
  });

  it('fetch nothing on demand, and later what another sync wants', async () => {
    const files = numberedFiles(5, 'lazy');
    await add('lazy', files, 'on_demand');
    await expect(penstock.sync('lazy')).resolves.toMatchObject({ version: 1, present: 5, downloaded: 0 });
    expect(upstream.downloads).toEqual([]);
    await penstock.addRepository('eager', { url: upstream.url });
    await expect(penstock.sync('eager')).resolves.toMatchObject({ present: 5, downloaded: 5 });
  });

  it('download a lost object again, and take one that no row vouches for', async () => {
    const files = numberedFiles(5, 'lost');
    await add('lost', files);
    await penstock.sync('lost');
    await rm(artifactOf(files['lost-00000.txt'] ?? ''));
    upstream.forget();
    await penstock.addRepository('again', { url: upstream.url });
    await expect(penstock.sync('again')).resolves.toMatchObject({ present: 5, downloaded: 1 });
    expect(upstream.downloads).toEqual(['lost-00000.txt']);

    await penstock.sql(`delete from content_artifacts; delete from artifacts`);
    upstream.forget();
    await penstock.sync('again', { optimize: false });
    expect(upstream.downloads).toEqual([]);
    expect(await readFile(artifactOf(files['lost-00001.txt'] ?? ''), 'utf8')).toBe(files['lost-00001.txt']);
  });

  it('are checked, and what nothing needs is cleaned away', async () => {
    await add('checked', numberedFiles(5, 'checked'));
    await penstock.sync('checked');
    await clean(penstock);
    const stray = 'ab'.repeat(32);
    await putOldFile(penstock, artifactKey(stray));
    const { problems } = await inspect(penstock, { deep: true });
    expect(problems).toMatchObject([{ kind: 'fileWithoutRow', path: artifactKey(stray) }]);
    const foreign = await putOldFile(penstock, 'notes.txt');
    const unknown = (await inspect(penstock)).problems.find(({ kind }) => kind === 'fileUnknown');
    expect(unknown?.mend).toContain(`aws s3 rm '${describePlace(penstock.settings.storage)}/notes.txt'`);
    await rm(foreign);

    expect(await clean(penstock, { dryRun: true })).toMatchObject({ files: 1, bytes: 4 });
    expect(await clean(penstock)).toMatchObject({ files: 1, bytes: 4 });
    await penstock.sql('delete from repositories');
    expect(await clean(penstock)).not.toMatchObject({ artifacts: 0 });
    expect(await inspect(penstock)).toMatchObject({ problems: [], checked: { storedFiles: { count: 0 } } });
  });
});
