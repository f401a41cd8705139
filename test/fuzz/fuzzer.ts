import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';

/** Tries one parser of what upstream sends with generated inputs, each of them bytes, so that one that failed can be kept as a file. */
export interface Fuzzer {
  readonly name: string;
  readonly inputs: fc.Arbitrary<Buffer>;
  /** Throws where the parser does what it must not. */
  readonly check: (input: Buffer) => Promise<void>;
  /** What it needs for the time of a run. */
  readonly open?: () => Promise<void>;
  readonly close?: () => Promise<void>;
}

/** Milliseconds that an input may take: longer is a hang. */
const longest = 10_000;

/**
 * Feeds a fuzzer with generated inputs for some time.
 *
 * @returns how many there were
 * @throws Error with the smallest input that fails, which is now in the corpus too
 */
export async function fuzz(fuzzer: Fuzzer, { seconds, seed }: { readonly seconds: number; readonly seed: number }) {
  const details = await fc.check(
    fc.asyncProperty(fuzzer.inputs, (input) => checkInTime(fuzzer, input)),
    {
      seed,
      numRuns: Number.MAX_SAFE_INTEGER,
      interruptAfterTimeLimit: seconds * 1000,
      // Shrinking ends as well.
      markInterruptAsFailure: false,
    },
  );
  if (details.counterexample) {
    const file = keep(fuzzer.name, details.counterexample[0]);
    throw new Error(`${fuzzer.name}, seed ${seed}: an input fails, and is kept as ${file}.`, {
      cause: details.errorInstance,
    });
  }
  return details.numRuns;
}

/** The inputs that once failed. */
export function corpusOf(fuzzer: string): readonly { readonly name: string; readonly input: Buffer }[] {
  const folder = folderOf(fuzzer);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).map((name) => ({ name, input: readFileSync(join(folder, name)) }));
}

/** Checks one input, which must not take long. */
export async function checkInTime({ check }: Fuzzer, input: Buffer): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const hang = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`It hangs: it is not over after ${longest} ms`));
    }, longest);
  });
  try {
    await Promise.race([check(input), hang]);
  } finally {
    clearTimeout(timer);
  }
}

function keep(fuzzer: string, input: Buffer): string {
  const folder = folderOf(fuzzer);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, createHash('sha256').update(input).digest('hex').slice(0, 16));
  writeFileSync(file, input);
  return file;
}

function folderOf(fuzzer: string): string {
  return join(__dirname, 'corpus', fuzzer);
}
