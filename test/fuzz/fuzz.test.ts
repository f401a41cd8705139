import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { testSeed } from '../harness/seed';
import { declaredUnit } from './declared-unit';
import { checkInTime, corpusOf, fuzz } from './fuzzer';
import type { Fuzzer } from './fuzzer';
import { headers } from './headers';
import { http } from './http';
import { manifest } from './manifest';

const fuzzers: readonly Fuzzer[] = [manifest, declaredUnit, headers, http];

/** `npm run test:fuzz` takes a minute for each. */
const seconds = Number(process.env.PENSTOCK_FUZZ_SECONDS ?? '1');
const seed = testSeed();

describe.each(fuzzers)('$name', (fuzzer) => {
  beforeAll(() => fuzzer.open?.());
  afterAll(() => fuzzer.close?.());

  it(
    'takes any input',
    async () => {
      process.stderr.write(`${fuzzer.name}: PENSTOCK_TEST_SEED=${seed}\n`);
      for (const { name, input } of corpusOf(fuzzer.name)) {
        await checkInTime(fuzzer, input).catch((cause: unknown) => {
          throw new Error(`The input ${name} of the corpus fails again.`, { cause });
        });
      }
      const inputs = await fuzz(fuzzer, { seconds, seed });
      process.stderr.write(`${fuzzer.name}: ${inputs} inputs in ${seconds} s\n`);
      expect(inputs).toBeGreaterThan(0);
    },
    (seconds + 120) * 1000,
  );
});
