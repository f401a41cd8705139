import type { BatchTally, DownloadShare } from '../activities/stage';
import type { OpenedVersion } from '../activities/open-version';
import type { NumberRange } from '../activities/open-numbers';
import type { SyncLimits } from '../src/models/sync-models';
import type { BatchesDiscovered, DiscoveriesOpened, StageProgress, SyncProgress } from './messages';
import { OpenNumbers } from './open-numbers';

/** What a run hands to the run that continues it: only what is still open. */
export interface CarriedState {
  readonly opened: OpenedVersion;
  readonly stages: readonly StageProgress[];
  readonly finishedBatches: number;
  readonly finishedDiscoveries: number;
  /** What operators have asked for, where they have. */
  readonly paused?: string;
  readonly limits?: Partial<SyncLimits>;
}

/** Batches that go through the stages at once. */
const batchWindow = 8;
/** Discoveries that run at once. */
const discoveryWindow = 4;
/** Activities that the remote's slots are shared out to: while one drains, the others use what it no longer needs. */
const downloadLanes = 3;

/** What the workflow is to start next. */
export interface Next {
  readonly kind: 'discovery' | 'batch';
  readonly number: number;
}

/**
 * The state of a sync, and the rules by which it goes on; knows nothing of Temporal.
 *
 * Batches and discoveries are numbered from 1 without gaps. Signals and results say up to which number there are any, and are
 * applied in any order, late, early or twice, to the same effect. Each number is open, then running, then over; a discovery
 * or batch that comes to rest is open again. The sync is over when nothing is open or running, and every discovery has ended.
 *
 * While it is paused nothing is started; what is under way ends or comes to rest.
 */
export class SyncState {
  opened: OpenedVersion | undefined;
  readonly failures: unknown[] = [];
  /** No more is started: the run is to be continued as new, or something has failed. */
  draining = false;
  /** Batches that went through the stages in this run. */
  finishedInRun = 0;
  phase: SyncPhase = 'opening';
  /** Why it is paused; `undefined`: it is not. */
  paused: string | undefined;

  private readonly batches = new OpenNumbers();
  private readonly discoveries = new OpenNumbers();
  /** What signals said before the version was opened, by sync: another sync's numbers mean nothing to this one. */
  private readonly early: (BatchesDiscovered | DiscoveriesOpened)[] = [];
  private slotsInUse = 0;
  private changedLimits: Partial<SyncLimits> = {};
  /** The stages that each batch under way has passed. */
  private readonly passed = new Map<number, Set<string>>();
  /** What operators have asked for that activities have to do. */
  private readonly asked = new Set<OperatorRequest>();
  private readonly stages = new Map<string, { -readonly [K in keyof StageProgress]: StageProgress[K] }>();

  constructor(
    private readonly repository: string,
    carried?: CarriedState,
  ) {
    if (!carried) return;
    this.open(carried.opened);
    this.paused = carried.paused;
    this.changedLimits = carried.limits ?? {};
    for (const stage of carried.stages) this.stages.set(stage.stage, { ...stage });
    this.batches.finished = carried.finishedBatches;
    this.discoveries.finished = carried.finishedDiscoveries;
  }

  open(opened: OpenedVersion): void {
    this.opened = opened;
    this.phase = 'syncing';
    this.batches.begin(opened.batches, opened.openBatches);
    this.discoveries.begin(opened.discoveries, opened.openDiscoveries);
    for (const message of this.early) {
      if ('batches' in message) this.batchesDiscovered(message);
      else this.discoveriesOpened(message);
    }
  }

  batchesDiscovered(message: BatchesDiscovered): void {
    if (!isMessage(message, 'batches')) return;
    if (!this.opened) this.early.push(message);
    else if (message.syncId === this.opened.syncId) this.batches.extendTo(message.batches);
  }

  discoveriesOpened(message: DiscoveriesOpened): void {
    if (!isMessage(message, 'discoveries')) return;
    if (!this.opened) this.early.push(message);
    else if (message.syncId === this.opened.syncId) this.discoveries.extendTo(message.discoveries);
  }

  /** Gives the reason that holds: the first one. */
  pause(reason: string): string {
    return (this.paused ??= reason);
  }

  resume(): void {
    this.paused = undefined;
  }

  /** Sets those that are given, and gives all. */
  changeLimits(changes: Partial<SyncLimits>): SyncLimits {
    this.changedLimits = { ...this.changedLimits, ...changes };
    this.asked.add('note limits');
    return this.limits;
  }

  askForRetry(): void {
    this.asked.add('retry failures');
  }

  /** Whether an operator has asked for something that is to be done. */
  get isAsked(): boolean {
    return this.opened !== undefined && this.asked.size > 0;
  }

  takeRequest(): OperatorRequest | undefined {
    const [request] = this.asked;
    if (request) this.asked.delete(request);
    return request;
  }

  /** Batches that have come through the stages and are not over: what failed of them is tried again. */
  reopenBatches(ranges: readonly NumberRange[]): void {
    this.batches.reopen(ranges);
  }

  /** Whether it is too late for operators. */
  get ending(): boolean {
    return this.failures.length > 0 || !['opening', 'syncing', 'paused'].includes(this.phase);
  }

  /** Whether something waits to be started and may be. */
  get canStart(): boolean {
    return !this.draining && this.paused === undefined && (this.canStartDiscovery || this.canStartBatch);
  }

  /** Whether nothing runs. */
  get idle(): boolean {
    return this.batches.running === 0 && this.discoveries.running === 0;
  }

  /** Whether there is nothing left to do but to complete the version. */
  get over(): boolean {
    return this.idle && !this.batches.hasOpen && !this.discoveries.hasOpen;
  }

  /** Discoveries go first: batches come from them. */
  start(): Next {
    return this.canStartDiscovery
      ? { kind: 'discovery', number: this.discoveries.take() }
      : { kind: 'batch', number: this.batches.take() };
  }

  /** `absent`: it does not exist, or not yet; a signal has said too much. */
  ended({ kind, number }: Next, outcome: 'over' | 'rested' | 'absent'): void {
    const numbers = kind === 'batch' ? this.batches : this.discoveries;
    if (outcome === 'rested') numbers.giveBack(number);
    if (outcome === 'absent') numbers.withdraw(number);
    if (outcome !== 'over') return;
    numbers.finish(number);
    if (kind === 'discovery') return;
    this.finishedInRun += 1;
    this.passed.delete(number);
  }

  failed(next: Next, error: unknown): void {
    this.ended(next, 'rested');
    this.failures.push(error);
    this.draining = true;
  }

  /** A share of what the remote allows, or `undefined` while it is all taken. */
  takeShare(kind: 'discovery' | 'stage'): DownloadShare | undefined {
    const { downloadConcurrency: most, rateLimit } = this.limits;
    const free = most - this.slotsInUse;
    if (free <= 0) return undefined;
    const slots =
      kind === 'discovery' ? 1 : Math.min(free, Math.ceil(most / Math.min(downloadLanes, this.batches.left)));
    this.slotsInUse += slots;
    return { slots, requestsPerSecond: rateLimit === null ? null : (rateLimit * slots) / most, most };
  }

  giveShareBack({ slots }: DownloadShare): void {
    this.slotsInUse -= slots;
  }

  get hasFreeSlot(): boolean {
    return this.slotsInUse < this.limits.downloadConcurrency;
  }

  /** Adds up what a stage has done with a batch; one that it has come to again counts once. */
  stageEnded(
    { stage, batch }: { readonly stage: string; readonly batch: number },
    before: BatchTally | undefined,
    after: BatchTally,
    milliseconds: number,
  ): void {
    const sum = this.stages.get(stage) ?? { stage, batches: 0, units: 0, bytes: 0, milliseconds: 0 };
    const passed = this.passed.get(batch) ?? new Set();
    if (!passed.has(stage)) {
      sum.batches += 1;
      sum.units += after.units;
    }
    this.passed.set(batch, passed.add(stage));
    sum.bytes += after.downloadedBytes - (before?.downloadedBytes ?? 0);
    sum.milliseconds += milliseconds;
    this.stages.set(stage, sum);
    if (this.opened) this.discoveriesOpened({ syncId: this.opened.syncId, discoveries: after.discoveries });
  }

  progress(): SyncProgress {
    const order = this.opened?.stages.map(({ name }) => name) ?? [];
    return {
      repository: this.repository,
      stage: this.phase,
      paused: this.paused ?? null,
      limits: this.opened ? this.limits : null,
      version: this.opened?.version ?? null,
      batches: { discovered: this.batches.known, finished: this.batches.finished },
      discoveries: { opened: this.discoveries.known, finished: this.discoveries.finished },
      stages: order.flatMap((name) => this.stages.get(name) ?? []),
    };
  }

  carry(): CarriedState {
    if (!this.opened) throw new Error('a run continues as new once its version is open');
    return {
      opened: {
        ...this.opened,
        batches: this.batches.known,
        openBatches: this.batches.ranges(),
        discoveries: this.discoveries.known,
        openDiscoveries: this.discoveries.ranges(),
      },
      stages: [...this.stages.values()],
      finishedBatches: this.batches.finished,
      finishedDiscoveries: this.discoveries.finished,
      ...(this.paused === undefined ? {} : { paused: this.paused }),
      ...(Object.keys(this.changedLimits).length === 0 ? {} : { limits: this.changedLimits }),
    };
  }

  /** What the remote allows, or what operators have made of it. */
  get limits(): SyncLimits {
    const { slots: downloadConcurrency = 1, requestsPerSecond: rateLimit = null } = this.opened?.limits ?? {};
    return { downloadConcurrency, rateLimit, ...this.changedLimits };
  }

  private get canStartDiscovery(): boolean {
    return this.discoveries.hasOpen && this.discoveries.running < discoveryWindow;
  }

  private get canStartBatch(): boolean {
    return this.batches.hasOpen && this.batches.running < batchWindow;
  }
}

/** Anyone may signal a workflow: what is no message of ours is passed over. */
function isMessage(message: unknown, count: 'batches' | 'discoveries'): boolean {
  if (typeof message !== 'object' || message === null) return false;
  const { syncId, [count]: number } = message as Readonly<Record<string, unknown>>;
  return typeof syncId === 'string' && Number.isSafeInteger(number);
}

/** What an operator asks for that is more than a matter of the workflow. */
export type OperatorRequest = 'note limits' | 'retry failures';

/** Where a sync is, as the search attribute `PenstockStage` says it. */
export type SyncPhase =
  'opening' | 'syncing' | 'paused' | 'completing' | 'completed' | 'skipped' | 'failed' | 'canceled';
