import { createHash } from 'node:crypto';

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';

import { file } from '../../src/plugins/file';
import { FileRepository, numberedFiles, sha256 } from '../harness/file-repository';
import { Penstock } from '../harness/penstock';
import { catalog } from '../plugins/catalog';
import type { CatalogEntry, CatalogFile } from '../plugins/catalog';

interface SavedFile {
  readonly path: string;
  /** Of the artifact; null: deferred. */
  readonly stored: string | null;
  readonly remote: string | null;
  readonly urls: readonly string[] | null;
  readonly size: number | null;
  readonly sha256: string | null;
  readonly sha512: string | null;
}

describe('a sync that defers downloads', () => {
  let penstock: Penstock;
  let upstream: FileRepository;
  let mirror: FileRepository;

  beforeAll(async () => {
    penstock = await Penstock.start({ plugins: [file, catalog] });
    upstream = await FileRepository.start();
    mirror = await FileRepository.start();
  });
  beforeEach(() => {
    for (const each of [upstream, mirror]) {
      each.replaceAll({});
      each.forget();
    }
  });
  afterAll(async () => {
    await upstream.stop();
    await mirror.stop();
    await penstock.stop();
  });

  const setPolicy = (name: string, policy: string) =>
    penstock.sql('update remotes set policy = $2 where name = $1', [name, policy]);

  /** The files that versions of a repository hold, one row for each remote that has them. */
  const filesOf = (repository: string) =>
    penstock.sql<SavedFile>(
      `select attached.relative_path as path, artifact.sha256 as stored, remote.name as remote, source.urls,
              source.size::int as size, source.sha256, source.sha512
         from repositories repository
         join repository_contents held on held.repository_id = repository.id
         join content_artifacts attached on attached.content_id = held.content_id
         left join artifacts artifact on artifact.id = attached.artifact_id
         left join remote_artifacts source on source.content_artifact_id = attached.id
         left join remotes remote on remote.id = source.remote_id
        where repository.name = $1 order by attached.relative_path, remote.name`,
      [repository],
    );

  async function addCatalog(name: string, entries: readonly CatalogEntry[], policy: string): Promise<void> {
    upstream.put(`${name}/catalog.json`, JSON.stringify(entries));
    await penstock.addRepository(name, { url: `${upstream.origin}/${name}/catalog.json`, policy }, 'catalog');
  }

  /** Puts a file upstream, beside the catalog of this name. */
  function fileOf(name: string, path: string, content: string): CatalogFile {
    upstream.put(`${name}/${path}`, content);
    return { path, sha256: sha256(content), size: content.length };
  }

  /** How often a workflow has called each of the activities. */
  async function activitiesOf(sync: WorkflowHandle): Promise<Record<string, number>> {
    const { events } = await sync.fetchHistory();
    const calls: Record<string, number> = {};
    for (const { activityTaskScheduledEventAttributes: scheduled } of events ?? []) {
      const name = scheduled?.activityType?.name;
      if (name) calls[name] = (calls[name] ?? 0) + 1;
    }
    return calls;
  }

  it.each(['on_demand', 'streamed'])(
    'saves where each file is, fetches none, and calls no stage in vain (%s)',
    async (policy) => {
      const files = numberedFiles(3, policy);
      upstream.replaceAll(files);
      await penstock.addRepository(policy, { url: upstream.url, policy });
      const sync = await penstock.startSync(policy);
      await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 3, downloaded: 0 });
      expect(upstream.downloads).toEqual([]);
      expect(await filesOf(policy)).toEqual(
        Object.entries(files).map(([path, content]) => ({
          ...{ path, stored: null, remote: policy, urls: [`${upstream.origin}/${path}`] },
          ...{ size: content.length, sha256: sha256(content), sha512: null },
        })),
      );
      expect(await penstock.sql('select from artifacts')).toEqual([]);
      expect(await activitiesOf(sync)).toEqual({
        ...{ openVersion: 1, discoverContents: 1, queryExistingContents: 1, queryExistingArtifacts: 1 },
        ...{ saveContents: 1, saveRemoteArtifacts: 1, associateContents: 1, completeVersion: 1 },
      });
    },
  );

  it('saves contents without any file, and asks for no stage of files', async () => {
    await addCatalog('bare', [{ name: 'one' }, { name: 'two' }], 'on_demand');
    const sync = await penstock.startSync('bare');
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 2 });
    expect(await activitiesOf(sync)).toEqual({
      ...{ openVersion: 1, discoverContents: 1, queryExistingContents: 1 },
      ...{ saveContents: 1, associateContents: 1, completeVersion: 1 },
    });
  });

  it.each(['on_demand', 'streamed', 'immediate'])(
    'does with single files as the first stage says (%s)',
    async (policy) => {
      const name = `single-${policy}`;
      const now = fileOf(name, 'now.json', `now ${policy}`);
      const later = fileOf(name, 'later.iso', `later ${policy}`);
      const entry = {
        name,
        files: [
          { ...now, deferred: false },
          { ...later, deferred: true },
        ],
      };
      await addCatalog(name, [entry], policy);
      await expect(penstock.sync(name)).resolves.toMatchObject({ version: 1, added: 1, downloaded: 1 });
      expect(await filesOf(name)).toMatchObject([
        { path: 'later.iso', stored: null, sha256: later.sha256 },
        { path: 'now.json', stored: now.sha256, sha256: now.sha256 },
      ]);
      expect(upstream.downloads).not.toContain(`${name}/later.iso`);
    },
  );

  it('attaches at once what another repository has stored', async () => {
    upstream.replaceAll({ 'shared.txt': 'shared' });
    await penstock.addRepository('stores', { url: upstream.url });
    await penstock.sync('stores');
    mirror.replaceAll({ 'renamed.txt': 'shared', 'other.txt': 'not stored' });
    await penstock.addRepository('attaches', { url: mirror.url, policy: 'on_demand' });
    await expect(penstock.sync('attaches')).resolves.toMatchObject({ version: 1, downloaded: 0 });
    expect(await filesOf('attaches')).toMatchObject([
      { path: 'other.txt', stored: null },
      { path: 'renamed.txt', stored: sha256('shared'), urls: [`${mirror.origin}/renamed.txt`] },
    ]);
    // What is stored later is attached by the next sync.
    upstream.replaceAll({ 'shared.txt': 'shared', 'later.txt': 'not stored' });
    await penstock.sync('stores');
    await penstock.sync('attaches', { optimize: false });
    expect(await filesOf('attaches')).toMatchObject([{ stored: sha256('not stored') }, { stored: sha256('shared') }]);
    expect(mirror.downloads).toEqual([]);
  });

  it('fills in what is missing once the policy is immediate, and takes nothing away once it no longer is', async () => {
    const files = { 'one.txt': 'one', 'two.txt': 'two' };
    upstream.replaceAll(files);
    await penstock.addRepository('changing', { url: upstream.url });
    await penstock.sync('changing');
    upstream.put('three.txt', 'three');
    await setPolicy('changing', 'on_demand');
    await expect(penstock.sync('changing')).resolves.toMatchObject({ version: 2, added: 1, downloaded: 0 });
    expect((await filesOf('changing')).map(({ stored }) => stored)).toEqual([sha256('one'), null, sha256('two')]);

    // Upstream's metadata is the same as at the sync before.
    await setPolicy('changing', 'immediate');
    upstream.forget();
    await expect(penstock.sync('changing')).resolves.toMatchObject({ version: 2, changed: false, downloaded: 1 });
    expect(upstream.downloads).toEqual(['three.txt']);
    await expect(penstock.sync('changing')).resolves.toMatchObject({ skipped: true });

    for (const policy of ['streamed', 'on_demand']) {
      await setPolicy('changing', policy);
      await expect(penstock.sync('changing')).resolves.toMatchObject({ version: 2, skipped: false, changed: false });
      expect(await penstock.contentsOf('changing', 2)).toEqual({ ...files, 'three.txt': 'three' });
    }
  });

  it('keeps the sources of each remote apart, each with its newest urls', async () => {
    const files = { 'both.txt': 'both' };
    upstream.replaceAll(files);
    mirror.replaceAll(files);
    await penstock.addRepository('from-upstream', { url: upstream.url, policy: 'on_demand' });
    await penstock.addRepository('from-mirror', { url: mirror.url, policy: 'on_demand' });
    await penstock.sync('from-upstream');
    await penstock.sync('from-mirror');
    const sources = async () => (await filesOf('from-mirror')).map(({ remote, urls }) => [remote, urls]);
    const atUpstream = ['from-upstream', [`${upstream.origin}/both.txt`]];
    expect(await sources()).toEqual([['from-mirror', [`${mirror.origin}/both.txt`]], atUpstream]);

    const [path, text] = ['moved/PULP_MANIFEST', mirror.lineOf('both.txt')];
    mirror.put(path, text);
    await penstock.sql(`update remotes set url = $1 where name = 'from-mirror'`, [`${mirror.origin}/${path}`]);
    await penstock.sync('from-mirror');
    expect(await sources()).toEqual([['from-mirror', [`${mirror.origin}/moved/both.txt`]], atUpstream]);
  });

  it('learns more of a file at the same urls, and forgets nothing that it knew', async () => {
    const content = 'learned';
    const sha512 = createHash('sha512').update(content).digest('hex');
    const declare = (declared: Partial<CatalogFile>) => {
      upstream.put(
        'learning/catalog.json',
        JSON.stringify([{ name: 'learning', files: [{ path: 'a', ...declared }] }]),
      );
    };
    await addCatalog('learning', [], 'on_demand');
    const known = async () => {
      await penstock.sync('learning');
      const [found] = await filesOf('learning');
      return found && { urls: found.urls, size: found.size, sha256: found.sha256, sha512: found.sha512 };
    };
    const urls = [`${upstream.origin}/learning/a`];
    declare({});
    expect(await known()).toEqual({ urls, size: null, sha256: null, sha512: null });
    declare({ size: content.length, sha256: sha256(content) });
    expect(await known()).toEqual({ urls, size: content.length, sha256: sha256(content), sha512: null });
    declare({ sha512, urls: ['b'] });
    expect(await known()).toEqual({
      ...{ urls: [`${upstream.origin}/learning/b`], size: content.length, sha256: sha256(content), sha512 },
    });
  });
});
