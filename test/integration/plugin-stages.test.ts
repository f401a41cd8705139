import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';

import { insertStage, standardPipeline } from '../../src/plugins/plugin';
import type { BatchSql } from '../../src/plugins/plugin';
import { FileRepository, sha256 } from '../harness/file-repository';
import { eventually, Penstock } from '../harness/penstock';
import { catalog, catalogVariant } from '../plugins/catalog';
import { galaxyPlugin, nameOf } from '../plugins/galaxy';
import type { ListedRole, RoleDetails } from '../plugins/galaxy';

async function misspell({ query }: BatchSql): Promise<void> {
  await query('select nothing_such from contents');
}

async function forgetNames({ batchId, query }: BatchSql): Promise<void> {
  await query(`update staged_units set fields = fields - 'name' where batch_id = $1`, [batchId]);
}

describe('stages of a plugin of its own', () => {
  let penstock: Penstock;
  let upstream: FileRepository;
  let onDetails: (role: string) => Promise<void> | void = () => undefined;

  beforeAll(async () => {
    upstream = await FileRepository.start();
    penstock = await Penstock.start({
      plugins: [
        galaxyPlugin((role) => onDetails(role)),
        catalog,
        catalogVariant('unsourced', { pipeline: standardPipeline.filter((stage) => stage !== 'saveRemoteArtifacts') }),
        catalogVariant('undownloaded', {
          pipeline: standardPipeline.filter((stage) => stage !== 'downloadArtifacts' && stage !== 'saveArtifacts'),
        }),
        catalogVariant('artifacts-first', {
          pipeline: [
            'queryExistingArtifacts',
            'downloadArtifacts',
            'saveArtifacts',
            'queryExistingContents',
            'saveContents',
            'resolveContentFutures',
            'associateContents',
            'saveRemoteArtifacts',
          ],
        }),
        catalogVariant('reading', {
          pipeline: insertStage(standardPipeline, 'readFile', { before: 'saveContents' }),
          stages: {
            readFile: {
              kind: 'unit',
              units: 'new',
              async run(unit) {
                const texts = await Promise.all(
                  unit.artifacts.map(async (artifact) => Buffer.concat(await artifact.stream().toArray()).toString()),
                );
                return { ...unit, content: { ...unit.content, fields: { ...unit.content.fields, note: texts[0] } } };
              },
            },
          },
        }),
        catalogVariant('ill-stage', {
          pipeline: insertStage(standardPipeline, 'misspell', { before: 'saveContents' }),
          stages: { misspell: { kind: 'batch', run: misspell } },
        }),
        catalogVariant('ill-hook', { saveHooks: { before: forgetNames } }),
        catalogVariant('clumsy', {
          pipeline: insertStage(standardPipeline, 'spoil', { before: 'saveContents' }),
          stages: {
            spoil: {
              kind: 'unit',
              units: 'new',
              run: (unit) =>
                Promise.resolve({
                  ...unit,
                  content: { ...unit.content, fields: { ...unit.content.fields, edition: 'one' } },
                }),
            },
          },
        }),
      ],
    });
  });
  afterEach(() => {
    onDetails = () => undefined;
    upstream.misbehave.clear();
  });
  afterAll(async () => {
    await penstock.stop();
    await upstream.stop();
  });

  function role(name: string, version = '1.0'): ListedRole {
    return { namespace: 'acme', name, version };
  }

  /** Puts role versions upstream, with their archives and what is said about each. */
  function publish(list: string, roles: readonly ListedRole[], details: (role: ListedRole) => RoleDetails): string {
    upstream.put(list, JSON.stringify(roles));
    for (const each of roles) {
      upstream.put(`${nameOf(each)}.tar.gz`, `archive of ${nameOf(each)}`);
      upstream.put(`api/${nameOf(each)}.json`, JSON.stringify(details(each)));
    }
    return `${upstream.origin}/${list}`;
  }

  function calls(): string[] {
    return upstream.requests.filter((path) => path.startsWith('api/')).sort();
  }

  async function savedRoles(prefix: string): Promise<unknown[]> {
    return penstock.sql(
      `select version.name, version.license, version.tags, version.reviewed, role.name as role, artifact.sha256
         from galaxy_role_versions version
         join galaxy_roles role on role.id = version.role_id
         join content_artifacts attached on attached.content_id = version.content_id
         join artifacts artifact on artifact.id = attached.artifact_id
        where starts_with(version.name, $1) order by version.name, version.version`,
      [prefix],
    );
  }

  async function versionOf(repository: string): Promise<string[]> {
    const rows = await penstock.sql<{ name: string }>(
      `select coalesce(version.name, 'page of ' || page.name) as name
         from repositories repository
         join repository_contents held on held.repository_id = repository.id and held.version_removed is null
         join repository_versions begun on begun.repository_id = repository.id and begun.number = held.version_added
         left join galaxy_role_versions version on version.content_id = held.content_id
         left join galaxy_pages page on page.content_id = held.content_id
        where repository.name = $1 and begun.complete order by 1`,
      [repository],
    );
    return rows.map(({ name }) => name);
  }

  it('asks upstream about new content, and only about that, before it is saved', async () => {
    const roles = [role('asked-a'), role('asked-b')];
    const url = publish('asked.json', roles, ({ name }) => ({
      license: 'free',
      tags: [name, 'quote " and \\ backslash'],
      sha256: sha256(`archive of acme.${name}-1.0`),
    }));
    await penstock.addRepository('asked', { url }, 'galaxy');
    await expect(penstock.sync('asked')).resolves.toMatchObject({ added: 4, downloaded: 2 });
    expect(calls()).toEqual(['api/acme.asked-a-1.0.json', 'api/acme.asked-b-1.0.json']);
    expect(await savedRoles('asked-')).toEqual(
      ['asked-a', 'asked-b'].map((name) => ({
        name,
        license: 'free',
        tags: [name, 'quote " and \\ backslash'],
        reviewed: true,
        role: name,
        sha256: sha256(`archive of acme.${name}-1.0`),
      })),
    );

    upstream.forget();
    await expect(penstock.sync('asked', { optimize: false })).resolves.toMatchObject({ changed: false });
    expect(calls()).toEqual([]);

    publish('asked.json', [...roles, role('asked-c')], () => ({ license: 'paid' }));
    upstream.forget();
    await expect(penstock.sync('asked')).resolves.toMatchObject({ version: 2, added: 2, downloaded: 1 });
    expect(calls()).toEqual(['api/acme.asked-c-1.0.json']);
    expect(await savedRoles('asked-c')).toMatchObject([{ license: 'paid', reviewed: false }]);
  });

  it('refuses an archive that is not the one which the stage has announced', async () => {
    const url = publish('false.json', [role('false')], () => ({ license: 'free', sha256: sha256('another archive') }));
    await penstock.addRepository('false', { url, max_retries: 0 }, 'galaxy');
    await expect(penstock.sync('false')).rejects.toThrow(sha256('another archive'));
    expect(await savedRoles('false')).toEqual([]);
  });

  it('leaves nothing half saved where the stage fails in the middle, and goes on', async () => {
    const roles = ['a', 'b', 'c', 'd'].map((name) => role(`broken-${name}`));
    const url = publish('broken.json', roles, () => ({ license: 'free' }));
    const asked: string[] = [];
    let atRetry: unknown;
    onDetails = async (name) => {
      asked.push(name);
      if (asked.length === 3) throw new Error('the process is out of luck');
      if (asked.length === 4) atRetry = await stateOf('broken-');
    };
    await penstock.addRepository('broken', { url, download_concurrency: 1 }, 'galaxy');
    await expect(penstock.sync('broken')).resolves.toMatchObject({ added: 8 });
    expect(asked).toHaveLength(7);
    expect(atRetry).toEqual({ roles: 0, versions: 0, told: 0 });
    expect(await savedRoles('broken-')).toHaveLength(4);
  });

  it('leaves nothing half saved where the worker stops in the middle, and another one goes on', async () => {
    const roles = ['a', 'b', 'c'].map((name) => role(`stopped-${name}`));
    const url = publish('stopped.json', roles, () => ({ license: 'free' }));
    upstream.misbehave.set('api/acme.stopped-b-1.0.json', () => undefined);
    await penstock.addRepository('stopped', { url, download_concurrency: 1 }, 'galaxy');
    const handle = await penstock.startSync('stopped');
    await eventually('the second call', () => calls().includes('api/acme.stopped-b-1.0.json'));
    await penstock.stopWorker();
    expect(await stateOf('stopped-')).toEqual({ roles: 0, versions: 0, told: 0 });

    upstream.misbehave.clear();
    await penstock.startWorker();
    await expect(penstock.resultOf(handle)).resolves.toMatchObject({ added: 6 });
    expect(await savedRoles('stopped-')).toHaveLength(3);
  });

  /** What is saved of a test's roles, and how many staged ones know their details. */
  async function stateOf(prefix: string): Promise<unknown> {
    const [row] = await penstock.sql(
      `select (select count(*)::int from galaxy_roles where starts_with(name, $1)) as roles,
              (select count(*)::int from galaxy_role_versions where starts_with(name, $1)) as versions,
              (select count(*)::int from staged_units
                where starts_with(fields->>'name', $1) and fields->>'license' is not null) as told`,
      [prefix],
    );
    return row;
  }

  it('fails the sync for content that a stage refuses, names it, and saves the rest', async () => {
    const roles = [role('sorted-good'), role('sorted-secret')];
    const licenses: Record<string, string> = { 'sorted-good': 'free', 'sorted-secret': 'secret' };
    const url = publish('refused.json', roles, ({ name }) => ({ license: licenses[name] ?? '' }));
    await penstock.addRepository('refused', { url }, 'galaxy');
    const failed = penstock.sync('refused');
    await expect(failed).rejects.toMatchObject({ type: 'SyncIncomplete', transient: false });
    await expect(failed).rejects.toThrow(/galaxy\.role-version .*sorted-secret.*: its license forbids to copy it/);
    expect(await savedRoles('sorted-')).toMatchObject([{ name: 'sorted-good' }]);
    expect(await penstock.versionsOf('refused')).toEqual([0]);

    licenses['sorted-secret'] = 'free';
    publish('refused.json', roles, ({ name }) => ({ license: licenses[name] ?? '' }));
    upstream.forget();
    await expect(penstock.sync('refused')).resolves.toMatchObject({ version: 1, added: 4 });
    expect(calls()).toEqual(['api/acme.sorted-secret-1.0.json']);
    expect(await versionOf('refused')).toEqual([
      'page of sorted-good',
      'page of sorted-secret',
      'sorted-good',
      'sorted-secret',
    ]);
  });

  it('fails the sync, as one to try again, where what a stage asks for cannot be had', async () => {
    const url = publish('absent.json', [role('absent')], () => ({ license: 'free' }));
    upstream.misbehave.set('api/acme.absent-1.0.json', (_, response) => response.writeHead(503).end());
    await penstock.addRepository('absent', { url, max_retries: 0 }, 'galaxy');
    await expect(penstock.sync('absent')).rejects.toMatchObject({
      type: 'SyncIncomplete',
      transient: true,
      message: expect.stringContaining('503'),
    });
  });

  it('leaves out content that a stage drops: its future resolves with nothing, and the version completes', async () => {
    const roles = [role('kept'), role('kept-not')];
    const url = publish('dropped.json', roles, ({ name }) => ({ license: name === 'kept' ? 'free' : 'expired' }));
    await penstock.addRepository('dropped', { url }, 'galaxy');
    await expect(penstock.sync('dropped')).resolves.toMatchObject({ version: 1, added: 2, downloaded: 1 });
    expect(await versionOf('dropped')).toEqual(['kept', 'page of kept']);
    expect(upstream.requests).not.toContain('acme.kept-not-1.0.tar.gz');
  });

  it('saves related rows with the content, and finds those that there are', async () => {
    const url = publish('related.json', [role('related', '1.0'), role('related', '1.1')], () => ({ license: 'free' }));
    await penstock.addRepository('related', { url }, 'galaxy');
    await penstock.sync('related');
    publish('related.json', [role('related', '2.0'), role('related-too')], () => ({ license: 'free' }));
    await penstock.sync('related');
    expect(
      await penstock.sql(
        `select role.name, array_agg(version.version order by version.version) as versions
           from galaxy_roles role join galaxy_role_versions version on version.role_id = role.id
          where starts_with(role.name, 'related') group by role.id order by role.name`,
      ),
    ).toEqual([
      { name: 'related', versions: ['1.0', '1.1', '2.0'] },
      { name: 'related-too', versions: ['1.0'] },
    ]);
  });

  it('reads the downloaded files of new content', async () => {
    upstream.put('note.txt', 'what the file says');
    upstream.put('reading.json', JSON.stringify([{ name: 'read', files: [{ path: 'note.txt' }] }]));
    await penstock.addRepository('reading', { url: `${upstream.origin}/reading.json` }, 'reading');
    await penstock.sync('reading');
    expect(await penstock.sql(`select note from catalog_entries where name = 'read'`)).toEqual([
      { note: 'what the file says' },
    ]);
  });

  it('refuses at once what a stage answers and no table can hold', async () => {
    upstream.put('clumsy.json', JSON.stringify([{ name: 'spoilt' }]));
    await penstock.addRepository('clumsy', { url: `${upstream.origin}/clumsy.json` }, 'clumsy');
    await expect(penstock.sync('clumsy')).rejects.toMatchObject({
      type: 'UnusableAnswer',
      message: expect.stringMatching(/clumsy\.spoil.*spoilt.*edition/),
    });
  });

  it.each([
    ['ill-stage', /Stage "ill-stage\.misspell": PostgreSQL refuses it: .*nothing_such/],
    ['ill-hook', /catalog\.entry: PostgreSQL refuses it: null value in column "name"/],
  ])('fails, and does not try for ever, where PostgreSQL refuses what a plugin does: %s', async (plugin, message) => {
    upstream.put(`${plugin}.json`, JSON.stringify([{ name: plugin }]));
    await penstock.addRepository(plugin, { url: `${upstream.origin}/${plugin}.json` }, plugin);
    await expect(penstock.sync(plugin)).rejects.toMatchObject({
      type: 'RefusedByDatabase',
      message: expect.stringMatching(message),
    });
    expect(await penstock.versionsOf(plugin)).toEqual([0]);
  });

  it('works without a stage that the plugin leaves out, and in another order', async () => {
    for (const plugin of ['unsourced', 'artifacts-first']) {
      upstream.put(`${plugin}.txt`, plugin);
      const entry = { name: plugin, files: [{ path: `${plugin}.txt`, sha256: sha256(plugin) }] };
      upstream.put(`${plugin}.json`, JSON.stringify([entry]));
      await penstock.addRepository(plugin, { url: `${upstream.origin}/${plugin}.json` }, plugin);
      await expect(penstock.sync(plugin)).resolves.toMatchObject({ added: 1, downloaded: 1 });
      await expect(penstock.sync(plugin, { optimize: false })).resolves.toMatchObject({ changed: false });
    }
    expect(
      await penstock.sql(
        `select entry.name, count(source.id)::int as sources, count(attached.artifact_id)::int as stored
           from catalog_entries entry
           join content_artifacts attached on attached.content_id = entry.content_id
           left join remote_artifacts source on source.content_artifact_id = attached.id
          where entry.name in ('unsourced', 'artifacts-first') group by entry.name order by entry.name`,
      ),
    ).toEqual([
      { name: 'artifacts-first', sources: 1, stored: 1 },
      { name: 'unsourced', sources: 0, stored: 1 },
    ]);
  });

  it('says which stage is missed where a unit needs one that the plugin leaves out', async () => {
    upstream.put('undownloaded.json', JSON.stringify([{ name: 'fileless' }]));
    await penstock.addRepository('undownloaded', { url: `${upstream.origin}/undownloaded.json` }, 'undownloaded');
    await expect(penstock.sync('undownloaded')).resolves.toMatchObject({ added: 1 });

    upstream.put('undownloaded.json', JSON.stringify([{ name: 'with a file', files: [{ path: 'any.txt' }] }]));
    await expect(penstock.sync('undownloaded')).rejects.toMatchObject({
      type: 'PipelineIncomplete',
      message: expect.stringMatching(/1 files that were not downloaded.*with a file/),
    });
    expect(await penstock.versionsOf('undownloaded')).toEqual([0, 1]);
  });
});
