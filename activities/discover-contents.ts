import { checkUnit } from '../src/plugins/declared-unit';
import type { DeclaredUnit, Plugin, StepContext } from '../src/plugins/plugin';
import { inBatches } from '../src/staging/unit-batches';
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
import { PipelineIncomplete } from './stage';
import type { DownloadShare } from './stage';
import { requireRoomForAll } from './storage-room';

export interface DiscoverContentsInput extends DiscoveryReference {
  readonly share: DownloadShare;
}

export interface DiscoverContentsResult {
  /** The number of the sync's last batch: what the signal `batchDiscovered` says too. */
  readonly batches: number;
  /** How many units the step has declared. */
  readonly units: number;
}

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
    const { finished, plugin } = attempt.row;
    if (!finished) {
      describeHeartbeats(() => ({ units: attempt.staged }));
      await withRemote(dependencies, input.syncId, input.share, (session) =>
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
  if (!step) {
    throw new PipelineIncomplete(
      `Plugin "${plugin.name}" has no step "${attempt.row.step}", from which discovery ${attempt.reference.discovery} was to go on. ` +
        'Give the step back to the plugin, or throw the version away and begin anew: penstock sync NAME --discard',
    );
  }
  const context: StepContext = {
    remote: session.summary,
    metadata: (url) =>
      readPinned(dependencies, session, { syncId, url, signal, pin: (work) => attempt.transaction(work) }),
    resolved: readResolved({ pool: dependencies.database.pool, storage: dependencies.storage }, attempt.reference),
    signal,
  };
  const source = { url: session.summary.url, deferred: session.summary.policy !== 'immediate' };
  const signals = new BatchSignals(syncId);
  const check = (unit: DeclaredUnit) => checkUnit(unit, plugin, source);
  const batching = { skipped: attempt.staged, units: dependencies.batchUnits, check, signal };
  for await (const batch of inBatches(step(context), batching)) {
    signal.throwIfAborted();
    const number = await attempt.stage(batch);
    dependencies.metrics.unitsDiscovered.inc(batch.length);
    await signals.send(number);
  }
  // All of it is known now; most of its downloads have not begun.
  await requireRoomForAll(dependencies, syncId);
  await attempt.finish();
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
