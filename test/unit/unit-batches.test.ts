import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, it } from '@jest/globals';

import type { CheckedUnit } from '../../src/plugins/declared-unit';
import type { DeclaredUnit } from '../../src/plugins/plugin';
import { inBatches } from '../../src/staging/unit-batches';

const unit: DeclaredUnit = { content: { type: 'test.package', fields: {} } };
const reason = new Error('enough');

function checked(bytes = 2, artifacts = 0): CheckedUnit {
  const file = { relativePath: 'a', urls: ['http://upstream.example/a'], size: null, digests: {}, deferred: false };
  const files = Array.from({ length: artifacts }, () => file);
  return { content: unit.content, bytes, artifacts: files, step: null, references: [] };
}

async function* units(count: number): AsyncGenerator<DeclaredUnit> {
  for (let i = 0; i < count; i += 1) yield await Promise.resolve(unit);
}

async function* silentAfter(count: number): AsyncGenerator<DeclaredUnit> {
  yield* units(count);
  await new Promise(() => undefined);
}

async function sizesOf(
  declared: AsyncIterable<DeclaredUnit>,
  { skipped = 0, each = checked(), signal = new AbortController().signal, onBatch = (): void => undefined } = {},
): Promise<number[]> {
  const sizes: number[] = [];
  for await (const batch of inBatches(declared, { skipped, check: () => each, signal })) {
    sizes.push(batch.length);
    onBatch();
  }
  return sizes;
}

describe('a batch', () => {
  it.each([
    ['a thousand units', checked(), [1000, 1000, 500]],
    ['five thousand artifacts', checked(2, 10), [500, 500, 500, 500, 500]],
    ['4 MiB of fields', checked(8192), [512, 512, 512, 512, 452]],
  ])('ends at %s', async (_, each, sizes) => {
    expect(await sizesOf(units(2500), { each })).toEqual(sizes);
  });

  it('of one very large unit is that unit', async () => {
    expect(await sizesOf(units(3), { each: checked(5_000_000) })).toEqual([1, 1, 1]);
  });

  it('leaves out what is staged already', async () => {
    expect(await sizesOf(units(2500), { skipped: 2400 })).toEqual([100]);
    expect(await sizesOf(units(2500), { skipped: 2500 })).toEqual([]);
  });

  it('goes on its way when it is old, while the step is silent', async () => {
    const abort = new AbortController();
    const batches = sizesOf(silentAfter(3), {
      signal: abort.signal,
      onBatch: () => {
        abort.abort(reason);
      },
    });
    await expect(batches).rejects.toBe(reason);
  });
});

describe('the signal', () => {
  it.each([0, 5])('ends the wait for a step that is silent after %d units', async (count) => {
    const abort = new AbortController();
    const batches = sizesOf(silentAfter(count), { signal: abort.signal });
    await sleep(20);
    abort.abort(reason);
    await expect(batches).rejects.toBe(reason);
  });

  it('ends the skipping of units, also where the step never waits', async () => {
    const abort = new AbortController();
    async function* endless(): AsyncGenerator<DeclaredUnit> {
      for (;;) yield await Promise.resolve(unit);
    }
    const batches = sizesOf(endless(), { signal: abort.signal, skipped: Infinity });
    setTimeout(() => {
      abort.abort(reason);
    }, 20);
    await expect(batches).rejects.toBe(reason);
  });

  it('that was given before begins nothing, and what the step then throws is nobody’s', async () => {
    let rejected = 0;
    const count = () => (rejected += 1);
    process.on('unhandledRejection', count);
    async function* failing(): AsyncGenerator<DeclaredUnit> {
      yield* units(1);
      await sleep(10);
      throw new Error('late');
    }
    await expect(sizesOf(failing(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await sleep(50);
    process.off('unhandledRejection', count);
    expect(rejected).toBe(0);
  });
});
