import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { cutToBytes, findRunningSync, startSync } from '../../src/syncs/start-sync';
import { handleOf } from '../../src/syncs/sync-workflow';
import { Penstock } from '../harness/penstock';

describe('the start of a sync', () => {
  let penstock: Penstock;

  beforeAll(async () => {
    penstock = await Penstock.start({ worker: false });
  });
  afterAll(() => penstock.stop());

  it('fits the longest names into its summary, and is refused while it runs', async () => {
    const name = `${randomBytes(4).toString('hex')}${'é'.repeat(96)}`;
    expect(Buffer.byteLength(name)).toBe(200);
    await penstock.addRepository(name, { url: 'http://upstream.example/PULP_MANIFEST' });
    await expect(findRunningSync(penstock.client, name)).resolves.toBeUndefined();
    const starter = { client: penstock.client, taskQueue: penstock.settings.taskQueue };
    const execution = await startSync(starter, { repository: name, mode: 'mirror', optimize: true });
    const handle = handleOf(penstock.client, execution);
    const summary = await (await handle.describe()).staticSummary();
    expect(summary?.startsWith(`${name} from ${name.slice(0, 70)}`)).toBe(true);
    await expect(findRunningSync(penstock.client, name)).resolves.toMatchObject({ runId: execution.runId });
    const again = startSync(starter, { repository: name, mode: 'mirror', optimize: true });
    await expect(again).rejects.toMatchObject({ name: 'SyncAlreadyRunning' });
    await handle.terminate();
  });

  it.each([
    ['abc', 3, 'abc'],
    ['abcd', 3, 'abc'],
    ['aéé', 4, 'aé'],
    ['a€b', 3, 'a'],
    ['😀😀', 7, '😀'],
    ['😀', 3, ''],
  ])('cuts %s to %d bytes as %s', (text, most, cut) => {
    expect(cutToBytes(text, most)).toBe(cut);
  });
});
