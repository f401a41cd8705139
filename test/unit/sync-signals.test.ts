import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import type { OpenedVersion } from '../../activities/open-version';
import type { BatchTally } from '../../activities/stage';
import { SyncState } from '../../workflows/sync-state';
import type { Next } from '../../workflows/sync-state';
import { testSeed } from '../harness/seed';

const syncId = '7';

/** How many batches each discovery stages, and how many discoveries each batch opens, by their numbers. */
interface Upstream {
  readonly batchesOf: readonly number[];
  readonly discoveriesOf: readonly number[];
}

/** What becomes of a signal. */
type Fate = 'at once' | 'lost' | 'doubled' | 'late' | 'too early' | 'too high';

/** The rows that activities write, and a network that is as bad as can be. */
class World {
  readonly state = new SyncState('repository');
  readonly done: string[] = [];
  private batches = 0;
  private discoveries = 1;
  private readonly running: Next[] = [];
  private readonly late: (() => void)[] = [];

  constructor(
    private readonly upstream: Upstream,
    private readonly fate: () => Fate,
    private readonly choose: (possibilities: number) => number,
  ) {}

  /** Until nothing can happen any more. */
  run(openAfter: number): void {
    for (let step = 0; step < 5000; step += 1) {
      if (step === openAfter) this.open();
      const moves = this.moves();
      if (moves.length === 0 && step > openAfter) return;
      moves[this.choose(Math.max(1, moves.length))]?.();
      if (step < openAfter) this.announce();
    }
    throw new Error('It goes on for ever.');
  }

  get expected(): string[] {
    const numbers = (kind: string, count: number) =>
      Array.from({ length: count }, (_, index) => `${kind} ${index + 1}`);
    return [...numbers('batch', this.batches), ...numbers('discovery', this.discoveries)].sort();
  }

  private moves(): (() => void)[] {
    return [
      ...(this.state.opened && this.state.canStart ? [() => void this.running.push(this.state.start())] : []),
      ...this.running.map((_, index) => () => {
        this.end(index);
      }),
      ...this.late.map((_, index) => () => {
        this.late.splice(index, 1)[0]?.();
      }),
    ];
  }

  private end(index: number): void {
    const [next] = this.running.splice(index, 1);
    if (!next) return;
    const { kind, number } = next;
    const known = kind === 'batch' ? this.batches : this.discoveries;
    if (number > known) {
      this.state.ended(next, 'absent');
      return;
    }
    // What a result says is true, and comes for certain.
    if (kind === 'discovery') {
      this.batches += this.upstream.batchesOf[number - 1] ?? 0;
      this.announce();
      this.state.batchesDiscovered({ syncId, batches: this.batches });
    } else {
      this.discoveries += this.upstream.discoveriesOf[number - 1] ?? 0;
      this.announce();
      this.state.stageEnded(
        { stage: 'resolve', batch: number },
        undefined,
        { discoveries: this.discoveries } as BatchTally,
        0,
      );
    }
    this.state.ended(next, 'over');
    this.done.push(`${kind} ${number}`);
  }

  private announce(): void {
    const { batches, discoveries } = this;
    this.send((more) => {
      this.state.batchesDiscovered({ syncId, batches: batches + more });
    });
    this.send((more) => {
      this.state.discoveriesOpened({ syncId, discoveries: discoveries + more });
    });
  }

  private send(deliver: (more: number) => void): void {
    const fate = this.fate();
    if (fate === 'late') this.late.push(deliver.bind(undefined, 0));
    if (fate === 'too early') deliver(1);
    if (fate === 'too high') deliver(1000);
    if (fate === 'at once' || fate === 'doubled') deliver(0);
    if (fate === 'doubled') deliver(0);
  }

  private open(): void {
    this.state.open({
      syncId,
      stages: [{ name: 'resolve', needs: [], requests: false }],
      limits: { slots: 10, requestsPerSecond: null },
      batches: 0,
      openBatches: [],
      discoveries: 1,
      openDiscoveries: [[1, 1]],
    } as unknown as OpenedVersion);
  }
}

describe('signals', () => {
  it('may be lost, doubled, late, early and wrong: all that is there is done once, and nothing hangs', () => {
    const fates = fc.constantFrom<Fate>('at once', 'lost', 'doubled', 'late', 'too early', 'too high');
    const counts = fc.array(fc.nat(4), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(
        fc.record({ batchesOf: counts, discoveriesOf: counts.map((all) => all.map((each) => each % 3)) }),
        fc.infiniteStream(fates),
        fc.infiniteStream(fc.nat()),
        fc.nat(5),
        (upstream, fate, choices, openAfter) => {
          const world = new World(
            upstream,
            () => fate.next().value as Fate,
            (possibilities) => (choices.next().value as number) % possibilities,
          );
          world.run(openAfter);
          expect(world.done.sort()).toEqual(world.expected);
          expect(world.state.over).toBe(true);
        },
      ),
      { seed: testSeed(), numRuns: 300 },
    );
  });
});
