import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';

import { FileRepository, sha256 } from '../harness/file-repository';
import { eventually, Penstock } from '../harness/penstock';
import { catalog } from '../plugins/catalog';
import { Gate } from '../plugins/gate';
import { gatedCatalog } from '../plugins/gated-catalog';

describe('signals that are early, doubled, foreign or wrong', () => {
  let penstock: Penstock;
  let upstream: FileRepository;
  const gate = new Gate();

  beforeAll(async () => {
    upstream = await FileRepository.start();
    penstock = await Penstock.start({
      worker: false,
      plugins: [catalog, gatedCatalog(gate)],
    });
  });
  afterAll(async () => {
    gate.open();
    await penstock.stop();
    await upstream.stop();
  });

  async function sendAll(handle: WorkflowHandle, syncId: string): Promise<void> {
    const messages: [string, unknown][] = [
      ['batchDiscovered', { syncId, batches: 1 }],
      ['batchDiscovered', { syncId, batches: 1 }],
      ['batchDiscovered', { syncId, batches: 0 }],
      ['batchDiscovered', { syncId, batches: -3 }],
      ['batchDiscovered', { syncId, batches: 40 }],
      ['batchDiscovered', { syncId: '987654', batches: 1000 }],
      ['batchDiscovered', { syncId, batches: 'many' }],
      ['batchDiscovered', { syncId, batches: 1.5 }],
      ['batchDiscovered', null],
      ['batchDiscovered', 'hello'],
      ['contentsResolved', { syncId, discoveries: 1 }],
      ['contentsResolved', { syncId, discoveries: 30 }],
      ['contentsResolved', { syncId: '987654', discoveries: 30 }],
      ['contentsResolved', {}],
      ['contentsResolved', undefined],
    ];
    for (const [name, message] of messages) await handle.signal(name, message);
  }

  it('change nothing', async () => {
    gate.close();
    const nested = JSON.stringify(Array.from({ length: 20 }, (_, index) => ({ name: `nested-${index}` })));
    upstream.put('nested.json', nested);
    upstream.put(
      'top.json',
      JSON.stringify([
        ...Array.from({ length: 1000 }, (_, index) => ({ name: `top-${index}` })),
        { name: 'list', then: 'open', files: [{ path: 'nested.json', sha256: sha256(nested), deferred: false }] },
        { name: 'gate' },
        { name: 'last' },
      ]),
    );
    await penstock.addRepository('signalled', { url: `${upstream.origin}/top.json` }, 'gated');
    const handle = await penstock.startSync('signalled');
    // Before the workflow has run at all; the first sync of a database has this id.
    await sendAll(handle, '1');
    await penstock.startWorker();
    await eventually('batches', async () => {
      const rows = await penstock.sql(`select from sync_batches where sync_id = 1 and finished`);
      return rows.length >= 3;
    });
    await sendAll(handle, '1');
    await sendAll(handle, '1');
    gate.open();
    await expect(penstock.resultOf(handle)).resolves.toMatchObject({ syncId: '1', version: 1, added: 1023 });
    expect(upstream.repeated).toEqual([]);
    expect(await penstock.sql(`select from catalog_entries`)).toHaveLength(1023);
    expect(await penstock.sql(`select batches, discoveries from syncs`)).toEqual([{ batches: 4, discoveries: 2 }]);
  });
});
