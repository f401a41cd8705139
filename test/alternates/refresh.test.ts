import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { createActivities } from '../../activities';
import { MaintenanceAttempt } from '../../activities/maintenance-attempt';
import { createAlternate, deleteAlternate, updateAlternate, viewAlternate } from '../../src/alternates/alternates';
import { noteArtifacts } from '../../src/alternates/refreshes';
import { DownloadPools } from '../../src/downloads/download-pool';
import { AlternateFiles } from '../../src/fetching/alternate-files';
import { findSources, leaveAlone } from '../../src/fetching/find-sources';
import { openSecretBox } from '../../src/models/remote-secrets';
import { WorkerMetrics } from '../../src/observability/worker-metrics';
import { plugins } from '../../src/plugins';
import { deleteRemote } from '../../src/repositories/remotes';
import { FileStorage } from '../../src/storage/file-storage';
import { Attempt } from '../crash-points/attempt';
import { FileRepository, numberedFiles, sha256 } from '../harness/file-repository';
import { Penstock, eventually } from '../harness/penstock';
import { catalog } from '../plugins/catalog';
import { addAlternate, addOriginal, addRemote, failureOf, refresh } from './mirrors';

const read = { over: true, paths: 1, read: 1, artifacts: 0, withoutSha256: 0, unexplored: 0 };

describe('a refresh', () => {
  let penstock: Penstock;
  let server: FileRepository;
  const pool = () => penstock.database.pool;

  beforeAll(async () => {
    penstock = await Penstock.start({ plugins: [...plugins, catalog] });
    server = await FileRepository.start();
  });
  beforeEach(() => {
    server.replaceAll({});
    server.misbehave.clear();
    server.putManifest(undefined);
    server.forget();
  });
  afterAll(async () => {
    await penstock.stop();
    await server.stop();
  });

  /** The urls of an alternate by their files' contents, as far as they are asked for. */
  async function urlsOf(name: string, contents: readonly string[]): Promise<(string | undefined)[]> {
    const files = contents.map((content) => ({ sha256: sha256(content), size: null }));
    const found = await AlternateFiles.find(pool(), files);
    return files.map((file) =>
      found
        .of(file, [])
        .find(({ alternateName }) => alternateName === name)
        ?.urls[0]?.replace(server.origin, ''),
    );
  }

  it('knows what its paths declare, forgets what is gone upstream, and keeps nothing of the refreshes before', async () => {
    server.replaceAll({ 'a/one': '1', 'a/two': '2', 'b/two': '2' });
    server.put('a/list?x', ['one', 'two'].map((path) => server.lineOf(`a/${path}`).slice(2)).join('\n'));
    server.put('b/PULP_MANIFEST', server.lineOf('b/two').slice(2));
    const paths = ['a/list?x', 'b/PULP_MANIFEST'];
    await addAlternate(penstock, 'paths', server, { url: server.origin, paths });
    expect(await urlsOf('paths', ['1'])).toEqual([undefined]);
    expect(await refresh(penstock, 'paths')).toEqual({ ...read, paths: 2, read: 2, artifacts: 2 });
    expect(await urlsOf('paths', ['1', '2', '3'])).toEqual(['/a/one', '/a/two', undefined]);
    expect(await viewAlternate(pool(), 'paths')).toMatchObject({
      paths,
      artifacts: 2,
      lastRefresh: { state: 'completed' },
    });

    server.put('a/list?x', server.lineOf('a/one').slice(2));
    expect(await refresh(penstock, 'paths')).toMatchObject({ artifacts: 2 });
    expect(await urlsOf('paths', ['1', '2'])).toEqual(['/a/one', '/b/two']);
    await updateAlternate(pool(), 'paths', { paths: ['b/PULP_MANIFEST'] });
    expect(await refresh(penstock, 'paths')).toMatchObject({ paths: 1, artifacts: 1 });
    expect(await urlsOf('paths', ['1', '2'])).toEqual([undefined, '/b/two']);
    expect(await penstock.sql('select from alternate_artifacts')).toHaveLength(1);
    await deleteAlternate(pool(), 'paths');
  });

  it.each([
    [
      'a path that leads elsewhere',
      (line: string) => `../up,${line.split(',').slice(1).join(',')}`,
      'has a segment ".."',
    ],
    ['a digest that is none', () => 'file,x,1', 'sha256'],
    ['a page', () => '<html><body>Please log in</body></html>', 'looks like a page'],
  ])('that finds %s fails, says where, and leaves in use what was known', async (what, manifest, message) => {
    server.replaceAll({ good: `good of ${what}` });
    await addAlternate(penstock, what, server);
    await refresh(penstock, what);
    server.put('better', 'better');
    server.putManifest(`${server.lineOf('better')}\n${manifest(server.lineOf('good'))}\n`);
    const { type, message: said } = await failureOf(refresh(penstock, what));
    expect(type).toBe('RefreshFailed');
    expect(said).toContain(`Alternate content source "${what}" could not be refreshed from ${server.url}: `);
    expect(said).toContain(message);
    expect(await urlsOf(what, [`good of ${what}`, 'better'])).toEqual(['/good', undefined]);
    expect(await viewAlternate(pool(), what)).toMatchObject({
      artifacts: 1,
      lastRefresh: { state: 'failed', error: { message: said } },
    });
    await deleteAlternate(pool(), what);
  });

  it('whose worker dies goes on with the path that it was at, and an attempt that is too late writes nothing', async () => {
    const files = numberedFiles(2500, 'k');
    server.replaceAll(files);
    server.put(
      'list',
      Object.keys(files)
        .map(
          (path) => `${server.lineOf(path)}
`,
        )
        .join(''),
    );
    server.put('second', server.lineOf('k-00000.txt').replace('k-00000', 'k-00001'));
    await addAlternate(penstock, 'killed', server, { url: server.origin, paths: ['list', 'second'] });
    const storage = await FileStorage.open(penstock.storageDir);
    const { openRefresh, refreshBatch, endRefresh } = createActivities({
      ...{ database: penstock.database, plugins: penstock.plugins, settings: penstock.settings, storage },
      ...{ secrets: openSecretBox(penstock.settings), pools: new DownloadPools(), metrics: new WorkerMetrics() },
    });
    let fence = Date.now();
    const attempt = <T>(death: AbortSignal, work: () => Promise<T>) =>
      new Attempt({
        ...{ activityType: 'refreshBatch', object: 'killed', fence: (fence += 1), runId: 'run', death },
        send: () => Promise.resolve(),
      }).run(work);
    const alive = new AbortController().signal;
    const { refreshId } = await attempt(alive, () => openRefresh({ alternate: 'killed' }));
    const death = new AbortController();
    // Dies in the middle of the second path, of which some is noted.
    const reached = new Promise<void>((resolve) => {
      server.misbehave.set('second', () => {
        resolve();
      });
    });
    const dying = attempt(death.signal, () => refreshBatch({ refreshId }));
    await reached;
    const late = await attempt(alive, () => MaintenanceAttempt.begin(pool(), 'alternate_refreshes', refreshId));
    await late.transaction((client) =>
      noteArtifacts(client, refreshId, [
        {
          relativePath: 'x',
          urls: [`${server.origin}/gone`],
          size: 4,
          digests: { sha256: sha256('gone') },
          deferred: true,
        },
      ]),
    );
    death.abort(new Error('The worker is dead'));
    await expect(dying).rejects.toThrow('dead');
    expect(await urlsOf('killed', ['k number 1\n'])).toEqual([undefined]);

    server.misbehave.clear();
    server.forget();
    const result = await attempt(alive, () => refreshBatch({ refreshId }));
    expect(server.requests).toEqual(['second']);
    expect(result).toEqual({ ...read, refreshId, paths: 2, read: 2, artifacts: 2500 });
    expect(await urlsOf('killed', ['k number 1\n', 'gone'])).toEqual(['/k-00001.txt', undefined]);
    await expect(late.transaction((client) => noteArtifacts(client, refreshId, []))).rejects.toThrow('later attempt');
    await attempt(alive, () => endRefresh({ id: refreshId, state: 'completed', error: null }));
    expect(await penstock.sql('select from alternate_artifacts')).toHaveLength(2500);
    await deleteAlternate(pool(), 'killed');
  });

  it('follows what stored files tell, and says how many contents lead to more that is not stored', async () => {
    const inner = JSON.stringify([
      { name: 'leaf', files: [{ path: 'leaf', sha256: sha256('leaf'), size: 4 }, { path: 'no-digest' }] },
    ]);
    server.put('leaf', 'leaf');
    server.put('no-digest', 'none');
    server.put('inner', inner);
    server.put(
      'outer',
      JSON.stringify([{ name: 'inner', then: 'open', files: [{ path: 'inner', sha256: sha256(inner) }] }]),
    );
    const url = `${server.origin}/outer`;
    await addAlternate(penstock, 'steps', server, { type: 'catalog', url });
    expect(await refresh(penstock, 'steps')).toEqual({ ...read, artifacts: 1, unexplored: 1 });
    await addOriginal(penstock, 'catalog', server, { type: 'catalog', url });
    await penstock.sync('catalog');
    expect(await refresh(penstock, 'steps')).toEqual({ ...read, artifacts: 2, withoutSha256: 1 });
    expect(await urlsOf('steps', ['leaf'])).toEqual(['/leaf']);
    await deleteAlternate(pool(), 'steps');
  });

  it('makes its source the first one of a deferred file, until that is left alone', async () => {
    server.put('later', 'later');
    await addAlternate(penstock, 'first', server);
    await refresh(penstock, 'first');
    await addOriginal(penstock, 'deferred', server, { policy: 'on_demand' });
    await penstock.sync('deferred');
    const rows = await penstock.sql<{ id: string }>('select id from content_artifacts where artifact_id is null');
    const id = rows[0]?.id ?? '';
    const sourcesOf = async () => (await findSources(pool(), [id])).get(id) ?? [];
    const [alternate, original, ...more] = await sourcesOf();
    expect(more).toEqual([]);
    expect(alternate).toMatchObject({
      origin: { kind: 'alternate', name: 'first' },
      remoteName: 'first',
      policy: 'on_demand',
    });
    expect(original).toMatchObject({ origin: { kind: 'remoteArtifact' }, remoteName: 'deferred', failedUntil: null });
    if (!alternate || !original) throw new Error('there are two');
    await leaveAlone(pool(), alternate.origin);
    await leaveAlone(pool(), original.origin);
    const [left, ...others] = await sourcesOf();
    expect(others).toEqual([]);
    expect(Number(left?.failedUntil)).toBeGreaterThan(Date.now() + 50_000);
    await deleteAlternate(pool(), 'first');
  });

  it('is refused where a remote, a name or a path cannot be used; and a remote that is in use stays', async () => {
    await addAlternate(penstock, 'taken', server);
    await addRemote(penstock, 'free', server);
    const create = (name: string, remote: string, paths: string[] = []) =>
      createAlternate(pool(), { name, remote, paths });
    await expect(create('taken', 'free')).rejects.toThrow('There is an alternate content source "taken" already.');
    await expect(create('other', 'taken')).rejects.toThrow(
      'Remote "taken" is that of the alternate content source "taken".',
    );
    await expect(create('other', 'nope')).rejects.toThrow('There is no remote "nope".');
    await expect(create('a/b', 'free')).rejects.toThrow('name of an alternate content source: it has a slash');
    await expect(create('other', 'free', ['a/../b'])).rejects.toThrow('has a segment ".."');
    await expect(create('other', 'free', ['a', 'a'])).rejects.toThrow('given twice');
    await expect(failureOf(refresh(penstock, 'nope'))).resolves.toMatchObject({ type: 'AlternateNotFound' });
    const store = {
      database: penstock.database,
      plugins: penstock.plugins,
      secrets: () => openSecretBox(penstock.settings),
    };
    await expect(deleteRemote(store, 'taken')).rejects.toThrow('penstock acs delete taken');

    // With another remote, what was known of the one before is forgotten, and what a refresh of it still finds is refused.
    server.put('file', 'of the first');
    await refresh(penstock, 'taken');
    expect(await urlsOf('taken', ['of the first'])).toEqual(['/file']);
    server.misbehave.set('PULP_MANIFEST', () => undefined);
    const refreshing = refresh(penstock, 'taken');
    await eventually('it is asked', () => server.requests.filter((path) => path === 'PULP_MANIFEST').length === 2);
    await updateAlternate(pool(), 'taken', { remote: 'free' });
    expect(await urlsOf('taken', ['of the first'])).toEqual([undefined]);
    await penstock.client.workflow.getHandle(`refresh/${penstock.settings.taskQueue}/taken`).cancel();
    await expect(refreshing).rejects.toThrow();
    expect(await viewAlternate(pool(), 'taken')).toMatchObject({ remote: 'free', artifacts: 0, lastRefreshed: null });
    await deleteAlternate(pool(), 'taken');
  });
});
