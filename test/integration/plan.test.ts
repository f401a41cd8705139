import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';

import { openSecretBox } from '../../src/models/remote-secrets';
import { planSync } from '../../src/planning/plan-sync';
import type { PlanRequest, SyncPlan } from '../../src/planning/plan-sync';
import { plugins } from '../../src/plugins';
import { FileStorage } from '../../src/storage/file-storage';
import type { SyncRepositoryResult } from '../../workflows/sync-repository';
import { FileRepository, numberedFiles, sha256 } from '../harness/file-repository';
import { eventually, Penstock } from '../harness/penstock';
import { catalog, catalogVariant } from '../plugins/catalog';
import type { CatalogEntry } from '../plugins/catalog';

jest.setTimeout(90_000);

describe('a plan', () => {
  let penstock: Penstock;
  let upstream: FileRepository;

  beforeAll(async () => {
    penstock = await Penstock.start({
      plugins: [
        ...plugins,
        catalog,
        catalogVariant('dropping', {
          stages: { dropAll: { kind: 'unit', units: 'all', run: () => Promise.resolve({ dropped: 'for the test' }) } },
          pipeline: ['queryExistingContents', 'dropAll', 'saveContents', 'resolveContentFutures', 'associateContents'],
        }),
      ],
    });
    upstream = await FileRepository.start();
  });
  beforeEach(() => {
    for (const path of upstream.paths) upstream.remove(path);
    upstream.misbehave.clear();
    upstream.delay = 0;
    upstream.forget();
  });
  afterAll(async () => {
    await penstock.stop();
    await upstream.stop();
  });

  async function plan(repository: string, options: Partial<PlanRequest> = {}): Promise<SyncPlan> {
    const { database, settings } = penstock;
    const store = {
      database,
      plugins: penstock.plugins,
      settings,
      storage: FileStorage.forReading(penstock.storageDir),
      secrets: () => openSecretBox(settings),
    };
    const request = { repository, mode: 'additive', optimize: true, listed: 0, ...options } as const;
    return planSync(store, request, new AbortController().signal);
  }

  /** Plans, syncs, and compares what the one says with what the other does. */
  async function planAndSync(
    repository: string,
    options: Partial<Pick<PlanRequest, 'mode' | 'optimize'>> = {},
  ): Promise<{ planned: SyncPlan; synced: SyncRepositoryResult }> {
    const before = await everything();
    const planned = await plan(repository, options);
    expect(await everything()).toEqual(before);
    expect(upstream.downloads.filter((path) => path !== 'outer.json')).toEqual([]);
    const synced = await penstock.sync(repository, options);
    const { added, removed, present, downloads, course } = planned;
    expect({
      added,
      removed,
      present,
      files: downloads.files,
      bytes: downloads.bytes,
      skipped: course === 'skip',
    }).toEqual({
      added: synced.skipped ? 0 : synced.added * Number(synced.changed),
      removed: synced.removed * Number(synced.changed),
      present: synced.present,
      files: synced.downloaded,
      bytes: synced.downloadedBytes,
      skipped: synced.skipped,
    });
    upstream.forget();
    return { planned, synced };
  }

  /** All rows of all tables, all sequences and all stored files. */
  async function everything(): Promise<unknown> {
    const tables = await penstock.sql<{ name: string }>(
      `select tablename as name from pg_tables where schemaname = 'public' order by tablename`,
    );
    const rows = await Promise.all(
      tables.map(({ name }) =>
        penstock.sql(
          `select '${name}' as name, count(*), md5(string_agg(each::text, ' ' order by each::text)) from ${name} each`,
        ),
      ),
    );
    const sequences = await penstock.sql(
      `select schemaname, sequencename, last_value from pg_sequences where schemaname = 'public' order by sequencename`,
    );
    const files = [];
    for await (const { key, size } of FileStorage.forReading(penstock.storageDir).list('')) files.push([key, size]);
    return { rows, sequences, files: files.sort() };
  }

  function put(files: Readonly<Record<string, string>>): void {
    for (const [path, content] of Object.entries(files)) upstream.put(path, content);
  }

  it('says what the next sync does: at first, with nothing new, with changes, and in mirror mode', async () => {
    put(numberedFiles(300));
    await penstock.addRepository('changing', { url: upstream.url });
    const first = await planAndSync('changing');
    expect(first.planned).toMatchObject({
      course: 'begin',
      baseVersion: 0,
      interrupted: null,
      contents: [{ type: 'file.file', new: 300, known: 0, replaced: 0, removed: 0, kept: 0 }],
      downloads: { unknownSizes: 0, hosts: [{ host: new URL(upstream.url).host, files: 300, unknownSizes: 0 }] },
      deferred: 0,
      unexplored: 0,
      stagesNotRun: [],
    });

    const { planned: unchanged } = await planAndSync('changing');
    expect(unchanged).toMatchObject({ course: 'skip', baseVersion: 1, contents: [{ kept: 300 }] });
    const { planned: looked } = await planAndSync('changing', { optimize: false });
    expect(looked).toMatchObject({ course: 'begin', added: 0, removed: 0, contents: [{ kept: 300 }] });

    upstream.put('file-00000.txt', 'changed');
    upstream.put('another.txt', 'another');
    upstream.remove('file-00001.txt');
    const { planned: changed } = await planAndSync('changing');
    expect(changed.contents).toEqual([{ type: 'file.file', new: 2, known: 0, replaced: 1, removed: 0, kept: 299 }]);

    upstream.put('file-00002.txt', 'changed too');
    const { planned: mirrored } = await planAndSync('changing', { mode: 'mirror' });
    expect(mirrored.contents).toEqual([{ type: 'file.file', new: 1, known: 0, replaced: 1, removed: 1, kept: 299 }]);
  });

  it('downloads nothing that another repository has, and names what comes and goes', async () => {
    put({ 'a.txt': 'a', 'b.txt': 'b' });
    await penstock.addRepository('one', { url: upstream.url });
    await penstock.sync('one');
    upstream.forget();
    await penstock.addRepository('two', { url: upstream.url });
    const { planned } = await planAndSync('two');
    expect(planned).toMatchObject({ contents: [{ new: 0, known: 2 }], downloads: { files: 0, bytes: 0, hosts: [] } });

    // The same bytes under another path: another content, and no download.
    put({ 'c.txt': 'a', 'b.txt': 'b2' });
    const { changes } = await plan('two', { listed: 10 });
    expect(changes).toEqual([
      { change: 'removed', type: 'file.file', fields: { relativePath: 'b.txt', digest: sha256('b') } },
      { change: 'added', type: 'file.file', fields: { relativePath: 'b.txt', digest: sha256('b2') } },
      { change: 'added', type: 'file.file', fields: { relativePath: 'c.txt', digest: sha256('a') } },
    ]);
    expect((await plan('two', { listed: 1 })).changes).toEqual(changes.slice(0, 1));
    expect((await planAndSync('two')).planned.downloads).toMatchObject({ files: 1, bytes: 2 });
  });

  it('counts files on demand apart, and those that are downloaded once the policy is another one', async () => {
    put({ 'on-demand-a.txt': 'aaa', 'on-demand-b.txt': 'bbbb' });
    await penstock.addRepository('later', { url: upstream.url, policy: 'on_demand' });
    const { planned } = await planAndSync('later');
    expect(planned).toMatchObject({ added: 2, deferred: 2, downloads: { files: 0 } });
    await penstock.sql(`update remotes set policy = 'immediate' where name = 'later'`);
    const { planned: immediate } = await planAndSync('later');
    expect(immediate).toMatchObject({ course: 'begin', added: 0, deferred: 0, downloads: { files: 2, bytes: 7 } });
  });

  it('counts a lost file as one to download, and one that is declared twice once', async () => {
    put({ 'lost.txt': 'lost' });
    await penstock.addRepository('lossy', { url: upstream.url });
    await penstock.sync('lossy');
    await (
      await FileStorage.open(penstock.storageDir)
    ).remove(`artifact/${sha256('lost').slice(0, 2)}/${sha256('lost').slice(2)}`);
    upstream.forget();
    put({ 'twice-1.txt': 'twice', 'twice-2.txt': 'twice' });
    const { downloads } = await plan('lossy');
    expect(downloads).toMatchObject({ files: 2, bytes: 9 });
    await penstock.sync('lossy');
    expect(upstream.downloads).toHaveLength(2);
  });

  it('goes on with an interrupted sync, also beside one that runs, and begins anew where upstream has changed', async () => {
    put(numberedFiles(600, 'interrupted'));
    upstream.delay = 20;
    await penstock.addRepository('interrupted', { url: upstream.url });
    const sync = await penstock.startSync('interrupted');
    await eventually('some downloads', () => upstream.served.length > 100);
    const beside = await plan('interrupted');
    expect(beside).toMatchObject({ course: 'resume', added: 600, interrupted: { version: 1 } });
    expect(beside.downloads.files).toBeLessThan(600);
    await sync.cancel();
    await expect(penstock.resultOf(sync)).rejects.toThrow();
    upstream.delay = 0;
    upstream.forget();

    const before = await everything();
    const { course, added, downloads } = await plan('interrupted');
    expect(await everything()).toEqual(before);
    expect({ course, added }).toEqual({ course: 'resume', added: 600 });
    upstream.put('interrupted-new.txt', 'new');
    const anew = await plan('interrupted');
    expect(anew).toMatchObject({ course: 'begin', interrupted: { version: 1 }, added: 601 });
    expect(anew.downloads.files).toBe(downloads.files + 1);
    upstream.remove('interrupted-new.txt');
    upstream.forget();
    await penstock.sync('interrupted');
    expect(upstream.downloads).toHaveLength(downloads.files);
  });

  describe('of a plugin', () => {
    function publish(
      path: string,
      entries: readonly CatalogEntry[],
    ): { path: string; sha256: string; deferred: false } {
      const text = JSON.stringify(entries);
      upstream.put(path, text);
      return { path, sha256: sha256(text), deferred: false };
    }

    it('looks into what is saved already, and says how much leads further', async () => {
      const inner = [
        { name: 'leaf', labels: ['x'], files: [{ path: 'leaf.bin', urls: ['leaf.bin'] }] },
        { name: 'twin', edition: 1 },
      ];
      upstream.put('leaf.bin', 'leaf');
      const index = { name: 'index', then: 'open', files: [publish('inner.json', inner)] };
      publish('outer.json', [index, { name: 'twin', edition: 1 }]);
      await penstock.addRepository('levels', { url: `${upstream.origin}/outer.json` }, 'catalog');
      expect(await plan('levels')).toMatchObject({ added: 2, unexplored: 1, downloads: { files: 1, unknownSizes: 1 } });
      await penstock.sync('levels');
      upstream.forget();

      publish('outer.json', [index, { name: 'fresh' }]);
      const { planned } = await planAndSync('levels', { mode: 'mirror' });
      expect(planned).toMatchObject({
        unexplored: 0,
        contents: [{ type: 'catalog.entry', new: 1, known: 0, replaced: 0, removed: 0, kept: 3 }],
      });
    });

    it('names the stages of its own that are not run, and judges nothing that they may change', async () => {
      publish('dropping.json', [{ name: 'dropped' }]);
      await penstock.addRepository('dropping', { url: `${upstream.origin}/dropping.json` }, 'dropping');
      expect(await plan('dropping')).toMatchObject({ added: 1, stagesNotRun: ['dropAll'] });
    });
  });

  it('fails as a sync would', async () => {
    await expect(plan('nowhere')).rejects.toMatchObject({ name: 'RepositoryNotFound' });
    await penstock.sql(`insert into repositories (name, type) values ('without', 'file')`);
    await expect(plan('without')).rejects.toMatchObject({ name: 'CannotSync' });
    await penstock.addRepository('down', { url: 'http://127.0.0.1:9/PULP_MANIFEST', max_retries: 0 });
    await expect(plan('down')).rejects.toMatchObject({ name: 'DownloadFailed' });
    await penstock.addRepository('contradicting', { url: upstream.url });
    put({ a: 'a', 'a/b': 'b' });
    upstream.putManifest(`${upstream.lineOf('a')}\na,${sha256('other')},5\n`);
    await expect(plan('contradicting')).rejects.toMatchObject({ name: 'InvalidVersion' });
    upstream.putManifest(undefined);
  });
});
