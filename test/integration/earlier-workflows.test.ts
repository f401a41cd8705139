import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';

import { plugins } from '../../src/plugins';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { frozenReleases, readFrozenBundle } from '../harness/frozen-bundles';
import { eventually, Penstock } from '../harness/penstock';
import { catalog } from '../plugins/catalog';
import { Gate } from '../plugins/gate';
import { gatedCatalog } from '../plugins/gated-catalog';

jest.setTimeout(90_000);

describe.each(frozenReleases)('a sync that was begun with the workflows of %s', (release) => {
  const gate = new Gate();
  const workflowBundle = readFrozenBundle(release);
  let penstock: Penstock;
  let upstream: FileRepository;

  beforeAll(async () => {
    penstock = await Penstock.start({ plugins: [...plugins, catalog, gatedCatalog(gate)], worker: false });
  });
  afterAll(async () => {
    gate.open();
    await penstock.stop();
  });
  beforeEach(async () => {
    upstream = await FileRepository.start();
    await penstock.startWorker({ workflowBundle });
  });
  afterEach(async () => {
    await penstock.stopWorker();
    await upstream.stop();
  });

  it('while it downloads goes on with those of today', async () => {
    const files = numberedFiles(300);
    for (const [path, content] of Object.entries(files)) upstream.put(path, content);
    // Longer than a worker that shuts down lets its activities go on.
    upstream.delay = 250;
    await penstock.addRepository('files', { url: upstream.url });
    const sync = await penstock.startSync('files');
    await eventually('some downloads', () => upstream.served.length > 30);
    await penstock.stopWorker();
    expect(new Set(upstream.downloads).size).toBeLessThan(300);
    upstream.delay = 0;

    await penstock.startWorker();
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 300, downloaded: 300 });
    expect(await penstock.contentsOf('files', 1)).toEqual(files);
  });

  it('while it discovers goes on with those of today, and looks into what it has found', async () => {
    upstream.put('inner.json', JSON.stringify([{ name: 'leaf' }]));
    upstream.put(
      'outer.json',
      JSON.stringify([
        { name: 'index', then: 'open', files: [{ path: 'inner.json', deferred: false }] },
        { name: 'gate' },
        { name: 'last' },
      ]),
    );
    await penstock.addRepository('levels', { url: `${upstream.origin}/outer.json` }, 'gated');
    gate.close();
    const sync = await penstock.startSync('levels');
    const begun = async () => (await penstock.sql('select 1 from sync_batches where downloaded > 0')).length > 0;
    await eventually('the first batch is on its way', begun);
    await penstock.stopWorker();
    gate.open();

    await penstock.startWorker();
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 4, downloaded: 1 });
  });
});
