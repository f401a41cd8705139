import type { OpenedVersion } from '../../activities/open-version';
import type { BatchTally, DownloadShare } from '../../activities/stage';
import type { ActivityRunner } from './activity-runner';

/** Where a batch is, of those that no workflow orders. */
interface Batch {
  readonly number: number;
  /** The stage that comes next. */
  next: number;
  running: boolean;
}

const share: DownloadShare = { slots: 2, requestsPerSecond: null };
/** Batches that go back to their start, or repeat a stage: each costs time. */
const mostRepetitions = 12;

/**
 * Takes all batches of a sync through the pipeline in an order that no workflow would choose: stages of one batch come in their
 * order, but are repeated, also from the start; batches and discoveries go on at will, beside each other. No stage is left out.
 */
export class Interleaving {
  private readonly batches: Batch[] = [];
  private readonly undiscovered: number[] = [];
  private discoveries = 0;
  private repetitions = 0;
  private readonly running = new Set<Promise<void>>();

  /** @param choose - one of so many possibilities */
  constructor(
    private readonly runner: ActivityRunner,
    private readonly opened: OpenedVersion,
    private readonly runId: string,
    private readonly choose: (possibilities: number) => number,
  ) {}

  async run(): Promise<void> {
    this.discover(this.opened.discoveries);
    for (;;) {
      const moves = this.moves();
      if (moves.length === 0 && this.running.size === 0) return;
      const mayWait = this.running.size > 0 ? 1 : 0;
      const move = moves[this.choose(moves.length + mayWait)];
      if (move) this.begin(move());
      else await Promise.race(this.running);
    }
  }

  private moves(): (() => Promise<void>)[] {
    const discoveries = this.undiscovered.map((number) => () => this.runDiscovery(number));
    const open = this.batches.filter(({ running, next }) => !running && next < this.opened.stages.length);
    const stages = open.map((batch) => () => this.runStage(batch, batch.next));
    if (this.repetitions >= mostRepetitions) return [...discoveries, ...stages];
    const passed = this.batches.filter(({ running, next }) => !running && next > 0);
    const again = passed.flatMap((batch) => [
      () => this.runStage(batch, batch.next - 1),
      () => this.runStage(batch, 0),
    ]);
    return [...discoveries, ...stages, ...again];
  }

  private begin(move: Promise<void>): void {
    const over = move.finally(() => this.running.delete(over));
    this.running.add(over);
  }

  private async runDiscovery(discovery: number): Promise<void> {
    this.undiscovered.splice(this.undiscovered.indexOf(discovery), 1);
    const input = { syncId: this.opened.syncId, discovery, share };
    const result = await this.call('discoverContents', `discovery ${discovery}`, input);
    const { batches } = result as { readonly batches: number };
    while (this.batches.length < batches) {
      this.batches.push({ number: this.batches.length + 1, next: 0, running: false });
    }
  }

  private async runStage(batch: Batch, index: number): Promise<void> {
    const { syncId, stages } = this.opened;
    const stage = stages[index];
    if (!stage) throw new Error(`There is no stage ${index}.`);
    if (index < batch.next) this.repetitions += 1;
    batch.running = true;
    const input = { syncId, batch: batch.number, last: index === stages.length - 1, share };
    const tally = (await this.call(stage.name, `batch ${batch.number}`, input)) as BatchTally;
    batch.running = false;
    batch.next = index + 1;
    this.discover(tally.discoveries);
  }

  private discover(known: number): void {
    while (this.discoveries < known) this.undiscovered.push((this.discoveries += 1));
  }

  /** Signals say what is learnt from results as well. */
  private call(type: string, object: string, input: unknown): Promise<unknown> {
    return this.runner.call(type, object, input, this.runId, () => Promise.resolve());
  }
}
