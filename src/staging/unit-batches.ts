import { setImmediate, setTimeout } from 'node:timers/promises';

import { untilAborted } from '../downloads/abort';
import type { CheckedUnit } from '../plugins/declared-unit';
import type { DeclaredUnit } from '../plugins/plugin';

/** Units of a batch; the stream starts to be processed when the first batch is there. */
const batchUnits = 1000;
/** Artifacts of a batch, where units have many. */
const batchArtifacts = 5000;
/** Bytes of a batch's fields as JSON, where they are large: a batch is held in memory, and written as one text. */
const batchBytes = 4 * 1024 ** 2;
/** Milliseconds after which a batch goes on its way although it is not full, where the source is slow. */
const batchAge = 1000;
const old = Symbol('old');
/** Units after which timers and signals get their turn, where the source never waits for anything. */
const skippedAtOnce = 1000;

/** How units become batches. */
export interface Batching {
  /** Units at the beginning that are staged already. */
  readonly skipped: number;
  /** Units of a batch at most; absent: as many as are fast. */
  readonly units?: number | undefined;
  readonly check: (unit: DeclaredUnit) => CheckedUnit;
  readonly signal: AbortSignal;
}

/**
 * Gathers what a step declares into batches that are bounded in units, artifacts, bytes and time.
 *
 * @throws what the step or the check throws, and the signal's reason, also while the step itself is silent.
 */
export async function* inBatches(
  declared: AsyncIterable<DeclaredUnit>,
  { skipped, units: most = batchUnits, check, signal }: Batching,
): AsyncGenerator<CheckedUnit[]> {
  let batch = new Batch(most);
  let ordinal = 0;
  const units = declared[Symbol.asyncIterator]();
  const ask = () => {
    const asked = units.next();
    // Thrown where it is awaited; until then somebody has to have seen it.
    asked.catch(() => undefined);
    return asked;
  };
  let next = ask();
  try {
    for (;;) {
      signal.throwIfAborted();
      // A batch that is old enough goes on its way, also while the source is silent.
      const result = await untilAborted(batch.age ? Promise.race([next, batch.age]) : next, signal);
      if (result !== old) {
        if (result.done === true) break;
        next = ask();
        ordinal += 1;
        if (ordinal <= skipped) {
          if (ordinal % skippedAtOnce === 0) await setImmediate();
          continue;
        }
        batch.add(check(result.value));
        if (!batch.full) continue;
      }
      yield batch.units;
      batch = new Batch(most);
    }
  } finally {
    // Not waited for: where the step is silent, only the end of its requests brings it to an end.
    units.return?.().catch(() => undefined);
  }
  if (batch.units.length > 0) yield batch.units;
}

class Batch {
  readonly units: CheckedUnit[] = [];
  /** Comes once the first unit has waited long enough. */
  age: Promise<typeof old> | undefined;
  private artifacts = 0;
  private bytes = 0;

  constructor(private readonly most: number) {}

  add(unit: CheckedUnit): void {
    this.age ??= setTimeout(batchAge, old, { ref: false });
    this.units.push(unit);
    this.artifacts += unit.artifacts.length;
    this.bytes += unit.bytes;
  }

  get full(): boolean {
    return this.units.length >= this.most || this.artifacts >= batchArtifacts || this.bytes >= batchBytes;
  }
}
