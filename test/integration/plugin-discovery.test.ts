import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';

import { standardPipeline } from '../../src/plugins/plugin';
import { FileRepository, sha256 } from '../harness/file-repository';
import { eventually, Penstock } from '../harness/penstock';
import { catalog, catalogVariant, declareEntry } from '../plugins/catalog';
import type { CatalogEntry, CatalogFile } from '../plugins/catalog';
import { Gate } from '../plugins/gate';

describe('discovery in several steps', () => {
  let penstock: Penstock;
  let upstream: FileRepository;
  const gate = new Gate();

  beforeAll(async () => {
    upstream = await FileRepository.start();
    penstock = await Penstock.start({
      plugins: [
        catalog,
        // Waits in the middle of its list, before the entry "gate".
        catalogVariant('gated', {
          async *start(context) {
            for await (const unit of catalog.firstStage.start(context)) {
              if (unit.content.fields.name === 'gate') await gate.pass();
              yield unit;
            }
          },
        }),
        catalogVariant('endless', {
          steps: {
            async *next({ remote, resolved }) {
              for await (const { content } of resolved) {
                const edition = Number(content.fields.edition) + 1;
                const then = edition < 5 ? { then: 'next' } : {};
                yield declareEntry({ name: 'chain', edition, ...then }, remote);
              }
            },
          },
        }),
        // As a plugin could be made that does not come through definePlugin.
        {
          ...catalogVariant('unresolving', {}),
          pipeline: standardPipeline.filter((stage) => stage !== 'resolveContentFutures'),
        },
      ],
    });
  });
  afterEach(() => {
    upstream.forget();
  });
  afterAll(async () => {
    gate.open();
    await penstock.stop();
    await upstream.stop();
  });

  /** Puts a catalog upstream and says how another catalog lists it. */
  function publish(path: string, entries: readonly CatalogEntry[]): CatalogFile {
    const text = JSON.stringify(entries);
    upstream.put(path, text);
    return { path, sha256: sha256(text), size: Buffer.byteLength(text), deferred: false };
  }

  async function add(name: string, entries: readonly CatalogEntry[], remote = {}, plugin = 'catalog'): Promise<void> {
    publish(`${name}.json`, entries);
    await penstock.addRepository(name, { url: `${upstream.origin}/${name}.json`, max_retries: 0, ...remote }, plugin);
  }

  function plain(prefix: string, count: number): CatalogEntry[] {
    return Array.from({ length: count }, (_, index) => ({ name: `${prefix}-${index}` }));
  }

  async function activitiesOf(handle: WorkflowHandle, type: string): Promise<number> {
    const { events } = await handle.fetchHistory();
    return (events ?? []).filter((event) => event.activityTaskScheduledEventAttributes?.activityType?.name === type)
      .length;
  }

  it('goes three levels deep, with metadata downloaded at once and the rest deferred', async () => {
    const file = (path: string) => {
      upstream.put(path, path);
      return { path, sha256: sha256(path), size: path.length };
    };
    const indexes = ['x', 'y'].map((index) => ({
      name: `index-${index}`,
      then: 'open',
      files: [
        publish(
          `index-${index}.json`,
          ['1', '2', '3'].map((each) => ({
            name: `list-${index}${each}`,
            then: 'open',
            needs: [{ name: `package-${index}${each}` }],
            files: [
              publish(`list-${index}${each}.json`, [
                { name: `package-${index}${each}`, files: [file(`package-${index}${each}.bin`)] },
              ]),
            ],
          })),
        ),
      ],
    }));
    await add('levels', indexes, { policy: 'on_demand' });
    await expect(penstock.sync('levels')).resolves.toMatchObject({ added: 2 + 6 + 6, downloaded: 2 + 6 });
    expect(upstream.requests.filter((path) => path.endsWith('.bin'))).toEqual([]);
    const files = await penstock.sql<{ path: string; stored: boolean; source: string | null }>(
      `select attached.relative_path as path, attached.artifact_id is not null as stored, source.sha256 as source
         from repositories repository
         join repository_contents held on held.repository_id = repository.id
         join content_artifacts attached on attached.content_id = held.content_id
         join remote_artifacts source on source.content_artifact_id = attached.id
        where repository.name = 'levels'`,
    );
    expect(files).toHaveLength(14);
    for (const { path, stored, source } of files) {
      expect({ path, stored }).toEqual({ path, stored: path.endsWith('.json') });
      expect(source).not.toBeNull();
    }
    expect(await penstock.sql(`select from content_references`)).toHaveLength(6);
    await expect(penstock.sync('levels', { optimize: false })).resolves.toMatchObject({ changed: false });
  });

  it('resolves hundreds of futures with one discovery for each batch of them', async () => {
    const lists = Array.from({ length: 400 }, (_, index) => ({
      name: `of-many-${index}`,
      then: 'open',
      files: [publish(`many/${index}.json`, [{ name: `in-many-${index}` }])],
    }));
    await add('many', lists, { download_concurrency: 20 });
    const handle = await penstock.startSync('many');
    await expect(penstock.resultOf(handle)).resolves.toMatchObject({ added: 800 });
    expect(await activitiesOf(handle, 'discoverContents')).toBe(2);
  });

  it('goes on from what a step has found, as deep as it leads', async () => {
    await add('chain', [{ name: 'chain', edition: 1, then: 'next' }], {}, 'endless');
    await expect(penstock.sync('chain')).resolves.toMatchObject({ added: 5 });
  });

  it('fails at once where a future names a step that there is not', async () => {
    await add('lost', [...plain('lost', 3), { name: 'waits for nothing', then: 'nowhere' }]);
    await expect(penstock.sync('lost')).rejects.toMatchObject({
      type: 'InvalidMetadata',
      message: expect.stringMatching(/waits for nothing.*"nowhere"/),
    });
    await add('circle', [{ name: 'waits for the start', then: 'start' }]);
    await expect(penstock.sync('circle')).rejects.toMatchObject({ type: 'InvalidMetadata' });
  });

  it('fails where no stage would ever resolve a future', async () => {
    await add('unresolved', [{ name: 'waits for ever', then: 'open' }], {}, 'unresolving');
    await expect(penstock.sync('unresolved')).rejects.toMatchObject({
      type: 'PipelineIncomplete',
      message: expect.stringMatching(/1 content futures.*waits for ever/),
    });
    expect(await penstock.versionsOf('unresolved')).toEqual([0]);
  });

  it('keeps the future of what failed open, and resolves it once that is saved', async () => {
    const broken = publish('broken.json', [{ name: 'behind-broken' }]);
    const whole = publish('whole.json', [{ name: 'behind-whole' }]);
    upstream.remove('broken.json');
    await add('partly', [
      { name: 'partly-broken', then: 'open', files: [broken] },
      { name: 'partly-whole', then: 'open', files: [whole] },
    ]);
    await expect(penstock.sync('partly')).rejects.toMatchObject({ type: 'SyncIncomplete' });
    expect(await penstock.sql(`select name from catalog_entries where starts_with(name, 'behind-')`)).toEqual([
      { name: 'behind-whole' },
    ]);

    publish('broken.json', [{ name: 'behind-broken' }]);
    upstream.forget();
    await expect(penstock.sync('partly')).resolves.toMatchObject({ version: 1, added: 4 });
    expect(upstream.requests.filter((path) => path !== 'partly.json')).toEqual(['broken.json']);
  });

  it('processes the first batch before the first stage has seen all', async () => {
    gate.close();
    await add('streamed', [...plain('streamed', 1000), { name: 'gate' }, ...plain('after', 10)], {}, 'gated');
    const handle = await penstock.startSync('streamed');
    await eventually('the first batch in the version', () => associated('streamed', 1000));
    expect(await penstock.sql(`select from catalog_entries where starts_with(name, 'streamed-')`)).toHaveLength(1000);
    gate.open();
    await expect(penstock.resultOf(handle)).resolves.toMatchObject({ added: 1011 });
  });

  it('lets a batch go on its way that is not full, where the source is slow', async () => {
    gate.close();
    await add('slow', [...plain('slow', 3), { name: 'gate' }], {}, 'gated');
    const handle = await penstock.startSync('slow');
    await eventually('the units that are there in the version', () => associated('slow', 3));
    gate.open();
    await expect(penstock.resultOf(handle)).resolves.toMatchObject({ added: 4 });
  });

  async function associated(repository: string, units: number): Promise<boolean> {
    const rows = await penstock.sql(
      `select from repositories repository join repository_contents held on held.repository_id = repository.id
        where repository.name = $1`,
      [repository],
    );
    return rows.length === units;
  }

  it('loses nothing where it continues as new with batches and futures open', async () => {
    const nested = Array.from({ length: 4 }, (_, index) => ({
      name: `continued-list-${index}`,
      then: 'open',
      files: [publish(`continued/${index}.json`, plain(`continued-${index}`, 1100))],
    }));
    const entries = nested.flatMap((list, index) => [...plain(`continued-top-${index}`, 600), list]);
    await add('continued', entries);
    const handle = await penstock.startSync('continued', { continueAsNewAfter: 1 });
    const total = 4 * 600 + 4 + 4 * 1100;
    await expect(penstock.resultOf(handle)).resolves.toMatchObject({ added: total, present: total, version: 1 });
    await eventually('a run that goes on', async () => (await continuationsOf(handle)) >= 1);
    expect(upstream.repeated).toEqual([]);
  });

  it('loses no future where it continues as new after each batch', async () => {
    await add('chained', [{ name: 'chain', edition: -1, then: 'next' }], {}, 'endless');
    const handle = await penstock.startSync('chained', { continueAsNewAfter: 1 });
    await expect(penstock.resultOf(handle)).resolves.toMatchObject({ added: 7 });
    await eventually('several runs', async () => (await continuationsOf(handle)) >= 2);
  });

  async function continuationsOf({ workflowId }: WorkflowHandle): Promise<number> {
    let continuations = 0;
    for await (const { status } of penstock.client.workflow.list({ query: `WorkflowId = '${workflowId}'` })) {
      if (status.name === 'CONTINUED_AS_NEW') continuations += 1;
    }
    return continuations;
  }
});
