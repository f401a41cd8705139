import { setTimeout } from 'node:timers/promises';

import { checkUnit } from '../src/plugins/declared-unit';
import type { CheckedUnit } from '../src/plugins/declared-unit';
import type { DeclaredUnit, Plugin, StepContext } from '../src/plugins/plugin';
import { batchDiscovered } from '../workflows/messages';
import { activitySignal } from './activity-signal';
import { currentWorkflow } from './current-workflow';
import type { ActivityDependencies } from './dependencies';
import { DiscoveryAttempt } from './discovery';
import type { DiscoveryReference } from './discovery';
import { describeHeartbeats } from './interceptors';
import { readPinned } from './pinned-metadata';
import { withRemote } from './remote-session';
import type { RemoteSession } from './remote-session';
import { readResolved } from './resolved-contents';
import type { DownloadShare } from './stage';

export interface DiscoverContentsInput extends DiscoveryReference {
  readonly share: DownloadShare;
}

export interface DiscoverContentsResult {
  /** The number of the sync's last batch: what the signal `batchDiscovered` says too. */
  readonly batches: number;
  /** How many units the step has declared. */
  readonly units: number;
}

/** Units of a batch; the stream starts to be processed when the first batch is there. */
const batchUnits = 1000;
/** Artifacts of a batch, where units have many. */
const batchArtifacts = 5000;
/** Milliseconds after which a batch goes on its way although it is not full, where the source is slow. */
const batchAge = 1000;
const old = Symbol('old');
/** Milliseconds between two signals: each is an event in the history, and the number in the last one says it all. */
const signalInterval = 200;

/**
 * Runs one step of the plugin's first stage and stages what it declares, batch by batch. The count of staged units is
 * committed with each batch: when it runs again, over the same pinned metadata, what is staged is skipped.
 */
export const discoverContents =
  (dependencies: ActivityDependencies) =>
  async (input: DiscoverContentsInput): Promise<DiscoverContentsResult> => {
    const { database, plugins } = dependencies;
    const attempt = await DiscoveryAttempt.begin(database.pool, input);
    const { finished, plugin, remoteId } = attempt.row;
    if (!finished) {
      describeHeartbeats(() => ({ units: attempt.staged }));
      await withRemote(dependencies, { syncId: input.syncId, remoteId }, input.share, (session) =>
        runStep(dependencies, session, attempt, plugins.get(plugin)),
      );
    }
    const { rows } = await database.pool.query<{ batches: number }>('select batches from syncs where id = $1', [
      input.syncId,
    ]);
    return { batches: rows[0]?.batches ?? 0, units: attempt.staged };
  };

async function runStep(
  dependencies: ActivityDependencies,
  session: RemoteSession,
  attempt: DiscoveryAttempt,
  plugin: Plugin,
): Promise<void> {
  const signal = activitySignal();
  const { syncId } = attempt.reference;
  const step = plugin.firstStage[attempt.row.step];
  if (!step) throw new Error(`Plugin "${plugin.name}" has no step "${attempt.row.step}".`);
  const context: StepContext = {
    remote: session.summary,
    metadata: (url) =>
      readPinned(dependencies, session, { syncId, url, signal, pin: (work) => attempt.transaction(work) }),
    resolved: readResolved(dependencies, attempt.reference),
    signal,
  };
  const source = { url: session.summary.url, deferred: session.summary.policy !== 'immediate' };
  const signals = new BatchSignals(syncId);
  for await (const batch of inBatches(step(context), attempt.staged, (unit) => checkUnit(unit, plugin, source))) {
    signal.throwIfAborted();
    await signals.send(await attempt.stage(batch));
  }
  await attempt.finish();
}

/** Gathers units into batches, without those at the beginning that are staged already. */
async function* inBatches(
  declared: AsyncIterable<DeclaredUnit>,
  skipped: number,
  check: (unit: DeclaredUnit) => CheckedUnit,
): AsyncGenerator<CheckedUnit[]> {
  let batch: CheckedUnit[] = [];
  let artifacts = 0;
  let ordinal = 0;
  let age: Promise<typeof old> | undefined;
  const units = declared[Symbol.asyncIterator]();
  let next = units.next();
  try {
    for (;;) {
      // A batch that is old enough goes on its way, also while the source is silent.
      const result = await (age ? Promise.race([next, age]) : next);
      if (result !== old) {
        if (result.done === true) break;
        next = units.next();
        // Thrown where it is awaited; until then somebody has to have seen it.
        next.catch(() => undefined);
        ordinal += 1;
        if (ordinal <= skipped) continue;
        age ??= setTimeout(batchAge, old, { ref: false });
        const checked = check(result.value);
        batch.push(checked);
        artifacts += checked.artifacts.length;
        if (batch.length < batchUnits && artifacts < batchArtifacts) continue;
      }
      yield batch;
      batch = [];
      artifacts = 0;
      age = undefined;
    }
  } finally {
    // Not waited for: where the step is silent, only the end of its requests brings it to an end.
    units.return?.().catch(() => undefined);
  }
  if (batch.length > 0) yield batch;
}

/**
 * Tells the workflow which batches are there: the first at once, the others not too often. The last need no signal, as the
 * activity's result says the same.
 */
class BatchSignals {
  private sentAt = 0;

  constructor(private readonly syncId: string) {}

  async send(batches: number): Promise<void> {
    if (Date.now() - this.sentAt < signalInterval) return;
    await currentWorkflow().handle.signal(batchDiscovered, { syncId: this.syncId, batches });
    this.sentAt = Date.now();
  }
}
