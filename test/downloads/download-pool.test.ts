import { describe, expect, it } from '@jest/globals';
import { setImmediate as tick } from 'node:timers/promises';

import { DownloadPool, DownloadPools, type PoolMember, type Slot } from '../../src/downloads/download-pool';
import { InFlight } from '../../src/downloads/in-flight';
import { OriginPauses } from '../../src/downloads/origin-pauses';

const unlimited = (slots: number) => ({ slots, requestsPerSecond: null });

/** Asks for slots, and notes who got one. */
function ask(pool: PoolMember, names: string, signal?: AbortSignal, got: string[] = []) {
  const slots: Slot[] = [];
  for (const name of names) {
    pool.acquire(signal).then(
      (slot) => {
        got.push(name);
        slots.push(slot);
      },
      () => got.push(`${name} aborted`),
    );
  }
  return { got, slots };
}

describe('a pool of slots', () => {
  it('has the limits of any member, not their sum, where each brings the whole of them', async () => {
    const pools = new DownloadPools();
    const members = [1, 2, 3].map(() => pools.joinWhole('remote', unlimited(2)));
    const got: string[] = [];
    for (const [index, member] of members.entries()) ask(member, `${index}`, undefined, got);
    await tick();
    expect(got).toEqual(['0', '1']);
    expect(pools.slots).toEqual({ all: 2, used: 2 });
    for (const member of members) member.leave();
    expect(pools.slots.all).toBe(0);
  });

  it('gives no more than there are, first come, first served', async () => {
    const member = new DownloadPool().join(unlimited(2));
    const { got, slots } = ask(member, 'abcd');
    await tick();
    expect(got).toEqual(['a', 'b']);
    slots[1]?.release();
    slots[1]?.release();
    await tick();
    expect(got).toEqual(['a', 'b', 'c']);
    expect(member.pool.inUse).toBe(2);
    expect(member.waiting.size).toBe(1);
  });

  it('serves the member that joined first, so that its downloads end first', async () => {
    const pool = new DownloadPool();
    const [first, second] = [pool.join(unlimited(1)), pool.join(unlimited(1))];
    const { got, slots } = ask(second, 'xyz');
    const early = ask(first, 'ab', undefined, got);
    await tick();
    slots[0]?.release();
    early.slots[0]?.release();
    slots[1]?.release();
    await tick();
    expect(got).toEqual(['x', 'y', 'a', 'b']);
    expect(second.waiting.size).toBe(1);
  });

  it('grows and shrinks with those who have joined, and lets them use each other’s slots', async () => {
    const pools = new DownloadPools();
    const first = pools.join('sync', unlimited(1));
    const { got, slots } = ask(first, 'abcd');
    await tick();
    expect(got).toEqual(['a']);

    const second = pools.join('sync', unlimited(2));
    expect(second.pool).toBe(first.pool);
    await tick();
    expect(got).toEqual(['a', 'b', 'c']);

    second.leave();
    second.leave();
    slots[0]?.release();
    slots[1]?.release();
    await tick();
    expect(got).toEqual(['a', 'b', 'c']);
    slots[2]?.release();
    await tick();
    expect(got).toEqual(['a', 'b', 'c', 'd']);
  });

  it('is another one for another sync, and a new one when all have left', () => {
    const pools = new DownloadPools();
    const one = pools.join('one', unlimited(1));
    expect(pools.join('two', unlimited(1)).pool).not.toBe(one.pool);
    expect(pools.join('one', unlimited(1)).pool).toBe(one.pool);
    const three = pools.join('three', unlimited(1));
    three.leave();
    expect(pools.join('three', unlimited(1)).pool).not.toBe(three.pool);
  });

  it('lets a waiter go when its signal aborts, and keeps its place free', async () => {
    const pool = new DownloadPool().join(unlimited(1));
    const holder = await pool.acquire();
    const abort = new AbortController();
    const aborted = ask(pool, 'a', abort.signal);
    const other = ask(pool, 'b');
    abort.abort(new Error('enough'));
    await tick();
    expect(aborted.got).toEqual(['a aborted']);
    holder.release();
    await tick();
    expect(other.got).toEqual(['b']);
    await expect(pool.acquire(abort.signal)).rejects.toThrow('enough');
    expect(pool.waiting.size).toBe(0);
  });

  it('lets those go who still wait when their member leaves', async () => {
    const pool = new DownloadPool();
    const [first, second] = [pool.join(unlimited(1)), pool.join(unlimited(1))];
    const slots = [await first.acquire(), await first.acquire()];
    const waiting = second.acquire();
    second.leave();
    await expect(waiting).rejects.toThrow('is over');
    for (const slot of slots) slot.release();
    expect(pool.inUse).toBe(0);
  });
});

describe('a rate limit', () => {
  it('holds for all requests together, however many slots are free', async () => {
    const pool = new DownloadPool();
    const members = [0, 1].map(() => pool.join({ slots: 10, requestsPerSecond: 25 }));
    const began = performance.now();
    for (let i = 0; i < 21; i += 1) (await members[i % 2]?.acquire())?.release();
    const seconds = (performance.now() - began) / 1000;
    // At 50 a second 21 requests span at least 20/50 s, less the burst of a tenth of a second.
    expect(seconds).toBeGreaterThan(0.29);
    expect(seconds).toBeLessThan(5);
  });

  it('is none when one share has none', async () => {
    const pool = new DownloadPool();
    const limited = pool.join({ slots: 1, requestsPerSecond: 0.001 });
    pool.join(unlimited(1));
    for (let i = 0; i < 100; i += 1) (await limited.acquire()).release();
  });
});

describe('a host that answers 429', () => {
  it('is left alone only when as many answers in a row as there are slots say so', () => {
    const pauses = new OriginPauses(() => 4);
    const refuse = (times: number, until: number) => {
      for (let i = 0; i < times; i += 1) pauses.refused('http://a', until);
    };
    const later = Date.now() + 60_000;
    refuse(3, later);
    pauses.answered('http://a');
    refuse(3, later);
    expect(pauses.pausedUntil('http://a')).toBeUndefined();
    pauses.refused('http://a', later);
    expect(pauses.pausedUntil('http://a')).toBe(later);
    expect(pauses.pausedUntil('http://b')).toBeUndefined();
  });

  it('is asked again when its time has come', () => {
    const pauses = new OriginPauses(() => 1);
    for (let i = 0; i < 3; i += 1) pauses.refused('http://a', Date.now() - 1);
    expect(pauses.pausedUntil('http://a')).toBeUndefined();
  });
});

describe('what is in flight', () => {
  it('is made once for all who want it', async () => {
    const inFlight = new InFlight<number>();
    let made = 0;
    const make = async () => {
      await tick();
      return (made += 1);
    };
    expect(await Promise.all([1, 2, 3].map(() => inFlight.run('key', make, () => true)))).toEqual([1, 1, 1]);
    expect(await inFlight.run('key', make, () => true)).toBe(2);
  });

  it('is tried by each who waited when it fails, and at most once by each', async () => {
    const inFlight = new InFlight<string>();
    const tries: string[] = [];
    const run = (name: string, fails: boolean) =>
      inFlight.run(
        'key',
        async () => {
          tries.push(name);
          await tick();
          if (fails) throw new Error(name);
          return name;
        },
        () => true,
      );
    const results = await Promise.allSettled([run('a', true), run('b', true), run('c', false), run('d', false)]);
    expect(tries).toEqual(['a', 'b', 'c']);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled', 'fulfilled']);
  });

  it('is made again by who needs another thing than what another one made', async () => {
    const inFlight = new InFlight<string>();
    const first = inFlight.run(
      'key',
      () => Promise.resolve('first'),
      () => true,
    );
    const second = inFlight.run(
      'key',
      () => Promise.resolve('second'),
      () => false,
    );
    expect(await Promise.all([first, second])).toEqual(['first', 'second']);
  });

  it('is waited for no longer than until the signal aborts', async () => {
    const inFlight = new InFlight<string>();
    const abort = new AbortController();
    const made = new Promise<string>((resolve) => setImmediate(resolve, 'made'));
    const led = inFlight.run(
      'key',
      () => made,
      () => true,
    );
    const followed = inFlight.run(
      'key',
      () => Promise.resolve('never'),
      () => true,
      abort.signal,
    );
    abort.abort(new Error('enough'));
    await expect(followed).rejects.toThrow('enough');
    expect(await led).toBe('made');
  });
});
