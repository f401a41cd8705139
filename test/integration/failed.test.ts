import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';

import { FileRepository, numberedFiles } from '../harness/file-repository';
import { FailedSync, Penstock } from '../harness/penstock';

jest.setTimeout(90_000);

describe('a sync that cannot have every file', () => {
  let penstock: Penstock;
  let upstream: FileRepository;

  beforeAll(async () => {
    penstock = await Penstock.start();
  });
  afterAll(async () => {
    await penstock.stop();
  });
  beforeEach(async () => {
    upstream = await FileRepository.start();
  });
  afterEach(async () => {
    await upstream.stop();
  });

  it('saves the others, names what is missing, and completes its version with just that', async () => {
    const files = publish(numberedFiles(2000, 'most'));
    const missing = ['most-00007.txt', 'most-01000.txt', 'most-01999.txt'];
    for (const path of missing) upstream.remove(path);
    await penstock.addRepository('most', { url: upstream.url });

    const failure = await failureOf('most');
    expect(failure).toMatchObject({ type: 'SyncIncomplete', transient: false });
    expect(failure.message).toContain('Repository "most": 3 could not be had');
    for (const path of missing) {
      expect(failure.message).toContain(
        `${path}: Could not download ${upstream.origin}/${path}: the server answered 404`,
      );
    }
    expect(upstream.served.length).toBe(2001);
    expect(await penstock.versionsOf('most')).toEqual([0]);
    const [begun] = await syncsOf('most');
    expect(begun).toMatchObject({ state: 'failed', number: 1, error: { type: 'SyncIncomplete', transient: false } });
    expect(await savedFiles('most')).toBe(1997);

    for (const path of missing) upstream.put(path, files[path] ?? '');
    upstream.forget();
    await expect(penstock.sync('most')).resolves.toMatchObject({
      syncId: begun?.id,
      version: 1,
      added: 2000,
      present: 2000,
      downloaded: 2000,
    });
    expect(upstream.requests.sort()).toEqual(['PULP_MANIFEST', ...missing]);
    expect(await penstock.contentsOf('most', 1)).toEqual(files);
    expect(await penstock.versionsOf('most')).toEqual([0, 1]);
    expect(await syncsOf('most')).toMatchObject([{ id: begun?.id, state: 'completed', runs: 2, error: null }]);
  });

  it('tries a file whose server is overloaded as often as the remote allows, and says that it may pass', async () => {
    const files = publish(numberedFiles(20, 'busy'));
    const path = 'busy-00003.txt';
    upstream.misbehave.set(path, (_, response) => response.writeHead(503).end());
    await penstock.addRepository('busy', { url: upstream.url, max_retries: 2 });

    const failure = await failureOf('busy');
    expect(failure).toMatchObject({ type: 'SyncIncomplete', transient: true });
    expect(failure.message).toContain(`${upstream.origin}/${path}: the server answered 503 (3 attempts)`);
    expect(upstream.downloads.filter((each) => each === path)).toHaveLength(3);
    expect(upstream.downloads).toHaveLength(22);

    upstream.misbehave.clear();
    upstream.forget();
    await expect(penstock.sync('busy')).resolves.toMatchObject({ version: 1, added: 20 });
    expect(upstream.downloads).toEqual([path]);
    expect(await penstock.contentsOf('busy', 1)).toEqual(files);
  });

  it('says that it needs a person where only some of what is missing may come by itself', async () => {
    publish(numberedFiles(5, 'mixed'));
    upstream.misbehave.set('mixed-00001.txt', (_, response) => response.writeHead(503).end());
    upstream.remove('mixed-00002.txt');
    await penstock.addRepository('mixed', { url: upstream.url, max_retries: 0 });
    expect(await failureOf('mixed')).toMatchObject({ transient: false, details: { failures: 2 } });
  });

  it('is begun anew where upstream has changed meanwhile, and finds what was saved', async () => {
    publish(numberedFiles(500, 'moved'));
    upstream.remove('moved-00042.txt');
    await penstock.addRepository('moved', { url: upstream.url });
    await failureOf('moved');
    const [first] = await syncsOf('moved');

    upstream.remove('moved-00001.txt');
    upstream.put('moved-new.txt', 'new');
    upstream.putManifest(undefined);
    upstream.forget();
    const outcome = await penstock.sync('moved');
    expect(outcome).toMatchObject({ version: 1, added: 499, present: 499, downloaded: 1 });
    expect(outcome.syncId).not.toBe(first?.id);
    expect(upstream.downloads).toEqual(['moved-new.txt']);
    expect(await penstock.pathsOf('moved', 1)).toHaveLength(499);
    expect(await penstock.pathsOf('moved', 1)).not.toContain('moved-00001.txt');
    expect(await syncsOf('moved')).toMatchObject([{ state: 'discarded' }, { state: 'completed' }]);
  });

  it('is begun anew where the policy of its remote has changed, and finds what was saved', async () => {
    const files = publish(numberedFiles(300, 'lazy'));
    upstream.remove('lazy-00123.txt');
    await penstock.addRepository('lazy', { url: upstream.url });
    await failureOf('lazy');

    await penstock.sql(`update remotes set policy = 'on_demand' where name = 'lazy'`);
    upstream.forget();
    await expect(penstock.sync('lazy')).resolves.toMatchObject({ version: 1, added: 300, present: 300, downloaded: 0 });
    expect(upstream.downloads).toEqual([]);
    const stored = Object.entries(files).filter(([path]) => path !== 'lazy-00123.txt');
    expect(await penstock.contentsOf('lazy', 1)).toEqual(Object.fromEntries(stored));
    expect(await syncsOf('lazy')).toMatchObject([{ state: 'discarded' }, { state: 'completed', number: 1 }]);
  });

  /** Serves files under a manifest that stays when they are removed. */
  function publish(files: Record<string, string>): Record<string, string> {
    for (const [path, content] of Object.entries(files)) upstream.put(path, content);
    upstream.putManifest(
      Object.keys(files)
        .map((path) => `${upstream.lineOf(path)}\n`)
        .join(''),
    );
    return files;
  }

  async function failureOf(repository: string): Promise<FailedSync> {
    const thrown: unknown = await penstock.sync(repository).catch((error: unknown) => error);
    if (thrown instanceof FailedSync) return thrown;
    throw new Error(`The sync has not failed: ${JSON.stringify(thrown)}`, { cause: thrown });
  }

  function syncsOf(repository: string) {
    return penstock.sql<{ id: string; state: string; runs: number; number: number | null; error: unknown }>(
      `select sync.id, sync.state, sync.runs, version.number, sync.error
         from syncs sync
         join repositories repository on repository.id = sync.repository_id
         left join repository_versions version on version.id = sync.version_id
        where repository.name = $1 order by sync.id`,
      [repository],
    );
  }

  /** Contents whose file is stored. */
  async function savedFiles(prefix: string): Promise<number> {
    const rows = await penstock.sql<{ saved: number }>(
      `select count(*)::int as saved
         from file_contents file join content_artifacts attached on attached.content_id = file.content_id
        where file.relative_path like $1 || '-%' and attached.artifact_id is not null`,
      [prefix],
    );
    return rows[0]?.saved ?? 0;
  }
});
