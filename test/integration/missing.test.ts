import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';

import { file } from '../../src/plugins/file';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { Penstock } from '../harness/penstock';
import { catalog } from '../plugins/catalog';

jest.setTimeout(90_000);

const lostOf = (repository: string) => ['00003', '00020', '00099'].map((number) => `${repository}-${number}.txt`);

describe('a sync that may do without', () => {
  let penstock: Penstock;

  beforeAll(async () => {
    penstock = await Penstock.start({ plugins: [file, catalog] });
  });
  afterAll(async () => {
    await penstock.stop();
  });

  it('completes the version without what could not be had, says so, and tries it again the next time', async () => {
    const upstream = await startUpstream('some');
    await expect(penstock.sync('some', { allowMissing: { contents: 3 } })).resolves.toMatchObject({
      version: 1,
      added: 97,
      present: 97,
      missing: 3,
    });
    expect(await penstock.pathsOf('some', 1)).not.toContain('some-00003.txt');
    expect(await versionsOf('some')).toEqual([
      { number: 0, missing: 0 },
      { number: 1, missing: 3 },
    ]);
    expect(await missingOf('some')).toEqual(lostOf('some').map((path) => [path, 404, 1]));

    // Nothing has changed upstream: what is missing is asked for all the same, and nothing else.
    upstream.forget();
    upstream.misbehave.delete('some-00020.txt');
    await expect(penstock.sync('some', { allowMissing: { percent: 2 } })).resolves.toMatchObject({
      version: 2,
      added: 1,
      missing: 2,
    });
    expect(upstream.downloads.sort()).toEqual(lostOf('some'));
    expect(await missingOf('some')).toEqual([
      ['some-00003.txt', 404, 1],
      ['some-00099.txt', 404, 1],
    ]);

    upstream.misbehave.clear();
    await expect(penstock.sync('some')).resolves.toMatchObject({ version: 3, added: 2, present: 100, missing: 0 });
    await expect(penstock.sync('some')).resolves.toMatchObject({ version: 3, skipped: true });
    expect((await versionsOf('some')).at(-1)).toEqual({ number: 3, missing: 0 });
    await upstream.stop();
  });

  it.each([
    ['contents', { contents: 2 }, '3 of 100 contents are missing; 2 may be.'],
    ['percent', { percent: 2.9 }, '3 of 100 contents are missing; 2 may be.'],
  ])('fails where more is missing than is allowed, in %s', async (name, allowMissing, message) => {
    const upstream = await startUpstream(name);
    await expect(penstock.sync(name, { allowMissing })).rejects.toMatchObject({
      type: 'SyncIncomplete',
      message: expect.stringContaining(message) as unknown,
    });
    expect(await penstock.versionsOf(name)).toEqual([0]);
    // The same command with more patience goes on with what is there.
    upstream.forget();
    await expect(penstock.sync(name, { allowMissing: { contents: 3 } })).resolves.toMatchObject({ missing: 3 });
    expect(upstream.downloads.sort()).toEqual(lostOf(name));
    await upstream.stop();
  });

  it('makes no version where it has nothing new but what is missing', async () => {
    const upstream = await FileRepository.start(numberedFiles(5, 'old'));
    await penstock.addRepository('nothing', { url: upstream.url, max_retries: 0 });
    await penstock.sync('nothing');
    upstream.put('new.txt', 'new');
    upstream.misbehave.set('new.txt', (_, response) => response.writeHead(404).end());
    await expect(penstock.sync('nothing', { allowMissing: { percent: 100 } })).resolves.toMatchObject({
      version: 1,
      changed: false,
      missing: 1,
    });
    upstream.misbehave.clear();
    await expect(penstock.sync('nothing')).resolves.toMatchObject({ version: 2, added: 1, missing: 0 });
    await upstream.stop();
  });

  it('never takes for removed what only a missing content would have led to', async () => {
    const upstream = await FileRepository.start({
      'listed-1.json': JSON.stringify([{ name: 'listed', files: [{ path: 'listed.txt' }] }]),
      'listed.txt': 'listed',
    });
    const publish = (version: string) => {
      const files = [{ path: `listed-${version}.json`, deferred: false }];
      upstream.put('catalog.json', JSON.stringify([{ name: 'index', version, then: 'open', files }]));
    };
    publish('1');
    const url = `${upstream.origin}/catalog.json`;
    await penstock.addRepository('index', { url, max_retries: 0 }, 'catalog');
    await expect(penstock.sync('index', { mode: 'mirror' })).resolves.toMatchObject({ present: 2 });
    publish('2');
    const allowMissing = { contents: 1 };
    await expect(penstock.sync('index', { mode: 'mirror', allowMissing })).rejects.toMatchObject({
      type: 'SyncIncomplete',
      message: expect.stringContaining('which a mirror would take for removed: 1 do') as unknown,
    });
    // Nothing is removed by a sync that only adds.
    await expect(penstock.sync('index', { allowMissing })).resolves.toMatchObject({ changed: false, missing: 1 });
    await upstream.stop();
  });

  it('tries just what is missing where it is told to, though upstream has changed', async () => {
    const upstream = await startUpstream('retried');
    await expect(penstock.sync('retried')).rejects.toMatchObject({ type: 'SyncIncomplete' });
    upstream.put('another.txt', 'another');
    upstream.misbehave.clear();
    upstream.forget();
    await expect(penstock.sync('retried', { onlyMissing: true })).resolves.toMatchObject({ version: 1, added: 100 });
    expect(upstream.requests.sort()).toEqual(lostOf('retried'));
    await expect(penstock.sync('retried', { onlyMissing: true })).rejects.toMatchObject({ type: 'CannotSync' });
    await upstream.stop();
  });

  async function startUpstream(repository: string): Promise<FileRepository> {
    const upstream = await FileRepository.start(numberedFiles(100, repository));
    for (const path of lostOf(repository)) upstream.misbehave.set(path, (_, response) => response.writeHead(404).end());
    await penstock.addRepository(repository, { url: upstream.url, max_retries: 0 });
    return upstream;
  }

  function versionsOf(repository: string) {
    return penstock.sql(
      `select version.number, version.missing from repository_versions version
         join repositories repository on repository.id = version.repository_id
        where repository.name = $1 order by version.number`,
      [repository],
    );
  }

  /** Path, status and attempts of what the newest sync did without. */
  async function missingOf(repository: string): Promise<unknown[]> {
    const rows = await penstock.sql<{ path: string; error: { status: number; attempts: number } }>(
      `select failure.path, failure.error from sync_failures failure
        where failure.sync_id = (select max(sync.id) from syncs sync
                                   join repositories repository on repository.id = sync.repository_id
                                  where repository.name = $1)
        order by failure.path`,
      [repository],
    );
    return rows.map(({ path, error }) => [path, error.status, error.attempts]);
  }
});
