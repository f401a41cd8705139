import { randomInt } from 'node:crypto';

/** The seed of this run: `PENSTOCK_TEST_SEED`, to see a failure again, or a new one. Whoever uses it prints it. */
export function testSeed(): number {
  const given = process.env.PENSTOCK_TEST_SEED;
  if (given === undefined || given === '') return randomInt(2 ** 31);
  const seed = Number(given);
  if (!Number.isSafeInteger(seed)) throw new Error(`PENSTOCK_TEST_SEED must be a whole number; found "${given}".`);
  return seed;
}

/** Numbers from 0 to below 1 that follow from a seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
