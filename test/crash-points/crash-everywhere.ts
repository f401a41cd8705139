import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { randomFrom, testSeed } from '../harness/seed';
import type { Disturbance, Repetition } from './activity-runner';
import type { PlannedCrash } from './crash-points';
import { Laboratory } from './laboratory';
import type { Outcome } from './laboratory';
import type { Scenario } from './scenarios';

/** Milliseconds for the hundreds of runs of one test, also on a machine that has much else to do. */
const patience = 300_000;
/** A point that depends on the time, as a second signal does, may not come in every run: a crash there is tried so often. */
const mostTries = 3;

/** Crashes the syncs of a scenario at every point, and disturbs them in other ways: they come to the same as undisturbed ones. */
export function crashEverywhere(scenario: Scenario): void {
  const seed = testSeed();

  describe(scenario.name, () => {
    let laboratory: Laboratory;
    let undisturbed: Outcome;
    let points: readonly string[];

    beforeAll(async () => {
      process.stderr.write(`${scenario.name}: PENSTOCK_TEST_SEED=${seed}\n`);
      laboratory = await Laboratory.open(scenario);
      const { outcome, runner } = await laboratory.run({ random: randomFrom(seed) });
      const again = await laboratory.run({ random: randomFrom(seed + 1) });
      undisturbed = outcome;
      points = [...new Set(runner.points.passed)].filter((point) => again.runner.points.passed.includes(point));
      expect(again.outcome).toEqual(undisturbed);
    });
    afterAll(async () => {
      await laboratory.close();
    });

    it(
      'comes to the same wherever the attempt of an activity crashes',
      async () => {
        expect(points.length).toBeGreaterThan(70);
        for (const point of points) await crash({ point, extent: 'attempt' });
      },
      patience,
    );

    it(
      'comes to the same wherever a worker crashes, or Temporal’s database is lost as well',
      async () => {
        for (const [index, point] of points.entries()) {
          // A quarter of the points in a run, as each takes time: which, and what crashes, is a matter of the seed.
          const turn = (index + seed) % 8;
          const extent = turn === 0 ? 'worker' : turn === 4 ? 'everything' : undefined;
          if (extent) await crash({ point, extent: isOver(point) ? 'worker' : extent });
        }
      },
      patience,
    );

    it.each<Repetition>(['one after the other', 'at the same time'])(
      'comes to the same where each activity is run twice, %s',
      async (repetition) => {
        for (let run = 0; run < 5; run += 1) {
          await comesToTheSame(`Twice ${repetition}`, { repetition, random: randomFrom(seed + run) });
        }
      },
      patience,
    );

    it(
      'comes to the same where signals are lost, doubled, late and early',
      async () => {
        for (let run = 0; run < 5; run += 1) {
          const random = randomFrom(seed + run);
          await comesToTheSame('Unreliable signals', { channel: unreliable(random), random });
        }
      },
      patience,
    );

    // A sync that fails completes no version.
    if (scenario.then[0]?.missing) return;
    it(
      'comes to the same in any order of its stages, repeated and interleaved',
      async () => {
        const orders = fc.asyncProperty(
          fc.infiniteStream(fc.nat()),
          fc.constantFrom<Repetition>('once', 'at the same time'),
          async (choices, repetition) => {
            const choose = (possibilities: number) => (choices.next().value as number) % possibilities;
            const { outcome } = await laboratory.interleave({ repetition, random: randomFrom(seed) }, choose);
            expect(outcome).toEqual(undisturbed);
          },
        );
        // A smaller order would not say more, and each takes time.
        await fc.assert(orders, { seed, numRuns: 6, endOnFailure: true });
      },
      patience,
    );

    async function crash(planned: PlannedCrash): Promise<void> {
      const what = `A crash of ${planned.extent} at "${planned.point}"`;
      for (let tries = 1; tries <= mostTries; tries += 1) {
        const random = randomFrom(seed + tries);
        if (await comesToTheSame(what, { crash: planned, random })) return;
      }
      throw new Error(`${what}: the point was not passed.`);
    }

    /** @returns whether there was the crash that was planned */
    async function comesToTheSame(what: string, disturbance: Disturbance): Promise<boolean> {
      try {
        const { outcome, runner } = await laboratory.run(disturbance);
        const { happened } = runner.points;
        const temporaryStay = happened !== undefined && happened.extent !== 'attempt';
        const files = temporaryStay ? outcome.files.filter((key) => !key.startsWith('tmp/')) : outcome.files;
        expect({ ...outcome, files }).toEqual(undisturbed);
        return happened !== undefined;
      } catch (error) {
        throw new Error(`${what}, with PENSTOCK_TEST_SEED=${seed}: ${(error as Error).message}`, { cause: error });
      }
    }
  });
}

/** Where the version is complete nobody syncs again because of a crash: what is to be tidied up is the workflow's matter. */
function isOver(point: string): boolean {
  return /^completeVersion of the version: (?!before (statement|commit) 1$)/.test(point);
}

/** Delivers a signal not at all, at once, twice, or when others have come. */
function unreliable(random: () => number): NonNullable<Disturbance['channel']> {
  const late: (() => void)[] = [];
  return (deliver) => {
    const times = Math.floor(random() * 4);
    if (times === 3) late.push(deliver);
    else for (let time = 0; time < times; time += 1) deliver();
    if (random() < 0.5) late.pop()?.();
  };
}
