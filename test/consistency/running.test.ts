import { rm, writeFile } from 'node:fs/promises';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { deleteVersion } from '../../src/repositories/delete-version';
import { rollbackVersion } from '../../src/repositories/rollback-version';
import { artifactKey } from '../../src/storage/storage';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock, eventually } from '../harness/penstock';
import { inspect, putOldFile } from './inspection';
import { stray } from './mirrors';

let penstock: Penstock;
let upstream: FileRepository;

beforeAll(async () => {
  penstock = await Penstock.start();
});
afterAll(async () => {
  await penstock.stop();
});
beforeAll(async () => {
  upstream = await FileRepository.start();
});
afterAll(() => upstream.stop());

it('finds nothing wrong while a sync waits for its downloads, nor when that was terminated but that', async () => {
  for (const [path, content] of Object.entries(numberedFiles(50, 'held'))) upstream.put(path, content);
  const waiting: (() => void)[] = [];
  for (const path of ['held-00007.txt', 'held-00023.txt']) {
    upstream.misbehave.set(path, (_, response) => waiting.push(() => response.destroy()));
  }
  await penstock.addRepository('held', { url: upstream.url });
  const sync = await penstock.startSync('held');
  await eventually('the held downloads', () => waiting.length === 2 && upstream.served.length >= 49);

  const { problems, checked } = await inspect(penstock, { deep: true });
  expect(problems).toEqual([]);
  expect(checked).toMatchObject({ incompleteVersions: { count: 1 }, runningSyncs: { count: 1 } });

  await sync.terminate();
  // What it has stored and not saved yet is old by now, as nobody has gone on with it.
  const note = (digest: string | null) =>
    penstock.sql(`update staged_artifacts set stored_sha256 = $1 where relative_path = 'held-00007.txt'`, [digest]);
  await note(stray);
  const path = await putOldFile(penstock, artifactKey(stray));
  expect((await inspect(penstock)).problems).toMatchObject([{ kind: 'syncWithoutWorkflow', repository: 'held' }]);
  await note(null);
  await rm(path);
  upstream.misbehave.clear();
  for (const go of waiting) go();
  await penstock.sync('held');
  expect((await inspect(penstock)).problems).toEqual([]);
});

it('finds nothing wrong with a young file that has no row, nor with what a discarded sync has saved without its source', async () => {
  const path = await putOldFile(penstock, artifactKey(stray));
  await writeFile(path, 'young');
  await penstock.sql(`insert into contents (id, type) values (900001, 'file.file')`);
  await penstock.sql(`insert into file_contents values (900001, 'bare', $1)`, [stray]);
  await penstock.sql(`insert into content_artifacts (content_id, relative_path) values (900001, 'bare')`);
  expect((await inspect(penstock)).problems).toEqual([]);
  await penstock.sql('delete from contents where id = 900001');
  await rm(path);
});

it.each(['on_demand', 'immediate'])(
  'finds nothing wrong at any moment of a sync in several batches, also into a version that removes (%s)',
  async (policy) => {
    for (const [path, content] of Object.entries(numberedFiles(1500, policy))) upstream.put(path, content);
    await penstock.addRepository(policy, { url: upstream.url, policy });
    for (const version of [1, 2]) {
      const progress = { over: false };
      const result = penstock.sync(policy, { mode: 'mirror' }).finally(() => {
        progress.over = true;
      });
      let checks = 0;
      while (!progress.over) {
        expect((await inspect(penstock)).problems).toEqual([]);
        checks += 1;
      }
      await expect(result).resolves.toMatchObject({ version });
      expect(checks).toBeGreaterThan(0);
      for (let index = 0; index < 700; index += 1) upstream.remove(`${policy}-${String(index).padStart(5, '0')}.txt`);
      upstream.put(`${policy}-new.txt`, policy);
    }
    const { problems, checked } = await inspect(penstock, { olderThan: 0 });
    expect(problems).toEqual([]);
    expect(checked.contents?.count).toBeGreaterThan(1500);
  },
);

it('finds nothing wrong while versions are deleted', async () => {
  for (const [path, content] of Object.entries(numberedFiles(1200, 'kept'))) upstream.put(path, content);
  await penstock.addRepository('kept', { url: upstream.url, policy: 'on_demand' });
  await penstock.sync('kept');
  for (let version = 2; version < 16; version += 1) await rollbackVersion(penstock.database, 'kept', version % 2);
  const progress = { over: false };
  const deletions = (async () => {
    for (let version = 1; version < 15; version += 1) await deleteVersion(penstock.database, 'kept', version);
  })().finally(() => {
    progress.over = true;
  });
  let checks = 0;
  while (!progress.over) {
    expect((await inspect(penstock)).problems).toEqual([]);
    checks += 1;
  }
  await deletions;
  expect(checks).toBeGreaterThan(0);
  expect(await penstock.versionsOf('kept')).toEqual([0, 15]);
});
