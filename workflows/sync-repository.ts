import {
  ActivityCancellationType,
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';

import type { Activities } from '../activities';
import type { SyncOutcome } from '../activities/complete-version';
import type { OpenVersionInput, OpenedVersion } from '../activities/open-version';
import type { PlannedStage } from '../activities/planned-stage';
import type { BatchTally, DownloadShare, StageInput } from '../activities/stage';
import type { SyncFailure } from '../src/models/sync-models';
import { batchDiscovered, contentsResolved, progress } from './messages';
import { count, describeProgress, describeStage } from './descriptions';
import { SyncState } from './sync-state';
import type { CarriedState, Next, SyncPhase } from './sync-state';

/** What a sync is started with. */
export interface SyncRepositoryInput extends OpenVersionInput {
  /** Batches after which a run continues as new, where Temporal does not suggest it earlier. */
  readonly continueAsNewAfter?: number;
  /** What the run before has left open. */
  readonly carried?: CarriedState;
}

/** What a sync ends with. */
export type SyncRepositoryResult = SyncOutcome & { readonly skipped: boolean };

/** Every activity heartbeats: one whose worker has died is tried again after this. The database is waited for, however long. */
const options = {
  heartbeatTimeout: '10s',
  startToCloseTimeout: '1 day',
  scheduleToCloseTimeout: '30 days',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '15s' },
} as const;

const { openVersion, discoverContents, completeVersion, closeSync } = proxyActivities<Activities>(options);
const stageActivities = proxyActivities<Record<string, (input: StageInput) => Promise<BatchTally>>>(options);

/**
 * Syncs a repository with its remote: opens a version, discovers content, takes each batch of it through the stages of the
 * plugin's pipeline, and completes the version. Whatever interrupts it, the next sync of the repository goes on from there.
 */
export async function syncRepository(input: SyncRepositoryInput): Promise<SyncRepositoryResult> {
  const state = new SyncState(input.repository, input.carried);
  setHandler(batchDiscovered, (message) => {
    state.batchesDiscovered(message);
  });
  setHandler(contentsResolved, (message) => {
    state.discoveriesOpened(message);
  });
  setHandler(progress, () => state.progress(), {
    description:
      'How far the sync is: batches and discoveries, and for each stage batches, units, bytes and milliseconds.',
  });

  try {
    const opened = state.opened ?? (await open(state, input));
    if (opened.skipped) return skip(state, opened);
    await work(state, input);
    if (state.over) return await complete(state, opened);
  } catch (error) {
    await stop(state, error);
    throw error;
  }
  // Batches that were under way have come to their end, discoveries to rest; a run with an empty history goes on.
  return continueAsNew<typeof syncRepository>({ ...input, carried: state.carry() });
}

async function open(state: SyncState, { repository, mode, optimize }: SyncRepositoryInput): Promise<OpenedVersion> {
  const opened = await openVersion.executeWithOptions({ summary: `open a version of ${repository}` }, [
    { repository, mode, optimize },
  ]);
  state.open(opened);
  upsertSearchAttributes([
    { key: { name: 'PenstockPlugin', type: 'KEYWORD' }, value: opened.plugin },
    { key: { name: 'PenstockPolicy', type: 'KEYWORD' }, value: opened.policy },
  ]);
  enter(state, 'syncing');
  return opened;
}

function skip(state: SyncState, { syncId, version, present = 0 }: OpenedVersion): SyncRepositoryResult {
  enter(state, 'skipped');
  return {
    syncId,
    version,
    skipped: true,
    changed: false,
    added: 0,
    removed: 0,
    present,
    downloaded: 0,
    downloadedBytes: 0,
  };
}

/** Runs discoveries and batches, a window of each at once, until all are over or the run has to drain. */
async function work(state: SyncState, input: SyncRepositoryInput): Promise<void> {
  // Ending this scope brings discoveries to rest at what they have staged.
  const discoveries = new CancellationScope();
  const drain = () => {
    state.draining = true;
    discoveries.cancel();
  };
  try {
    for (;;) {
      await condition(() => state.canStart || state.idle);
      if (!state.canStart) break;
      const next = state.start();
      const task =
        next.kind === 'discovery'
          ? discoveries.run(() => discover(state, next.number))
          : processBatch(state, next.number);
      void settle(state, next, task).then(() => {
        setCurrentDetails(describeProgress(state.progress()));
        const enough =
          state.finishedInRun >= (input.continueAsNewAfter ?? Infinity) || workflowInfo().continueAsNewSuggested;
        if (state.failures.length > 0 || enough) drain();
      });
    }
  } catch (canceled) {
    // The activities have heard of it too: what they have done until they end is kept.
    await CancellationScope.nonCancellable(() => condition(() => state.idle));
    throw canceled;
  }
  if (state.failures.length > 0) throw state.failures[0];
}

async function settle(state: SyncState, next: Next, task: Promise<unknown>): Promise<void> {
  try {
    await task;
    state.ended(next, 'over');
  } catch (error) {
    if (next.kind === 'discovery' && state.draining && isRest(error)) state.ended(next, 'rested');
    else if (isAbsent(error)) state.ended(next, 'absent');
    else state.failed(next, error);
  }
}

/** Whether a discovery has ended because it was asked to; Temporal does not try it again where its worker died meanwhile. */
function isRest(error: unknown): boolean {
  return isCancellation(error) || (error instanceof ActivityFailure && error.retryState === 'CANCEL_REQUESTED');
}

/** The signals are only a wake-up: what they announce and the database does not have is no failure. */
function isAbsent(error: unknown): boolean {
  const cause = error instanceof ActivityFailure ? error.cause : undefined;
  return cause instanceof ApplicationFailure && cause.type === 'NotStaged';
}

/** Runs one step of the plugin's first stage. */
async function discover(state: SyncState, discovery: number): Promise<void> {
  const { syncId } = openedOf(state);
  await withShare(state, 'discovery', async (share) => {
    const { batches } = await discoverContents.executeWithOptions({ summary: `discover contents ${discovery}` }, [
      { syncId, discovery, share },
    ]);
    state.batchesDiscovered({ syncId, batches });
  });
}

/** Takes a batch through the stages of the pipeline; a stage that has nothing to do is not called. */
async function processBatch(state: SyncState, batch: number): Promise<void> {
  const { syncId, stages } = openedOf(state);
  let tally: BatchTally | undefined;
  for (const [index, stage] of stages.entries()) {
    const last = index === stages.length - 1;
    if (!last && tally && !hasWork(stage, tally)) continue;
    tally = await runStage(state, stage, { syncId, batch, last }, tally);
  }
}

function hasWork({ needs }: PlannedStage, tally: BatchTally): boolean {
  return needs.length === 0 || needs.some((need) => tally[need] > 0);
}

async function runStage(
  state: SyncState,
  stage: PlannedStage,
  input: StageInput,
  before: BatchTally | undefined,
): Promise<BatchTally> {
  const begun = Date.now();
  const run = (share?: DownloadShare) =>
    callStage(stage, describeStage(stage.name, input.batch, before), share ? { ...input, share } : input);
  const after = stage.requests ? await withShare(state, 'stage', run) : await run();
  state.stageEnded(stage.name, before, after, Date.now() - begun);
  setCurrentDetails(describeProgress(state.progress()));
  return after;
}

function callStage({ name }: PlannedStage, summary: string, input: StageInput): Promise<BatchTally> {
  const activity = stageActivities[name];
  if (!activity) throw ApplicationFailure.nonRetryable(`There is no stage "${name}".`, 'UnknownStage');
  return activity.executeWithOptions({ summary }, [input]);
}

/** Waits for a share of what the remote allows for the whole sync, and uses it. */
async function withShare<T>(
  state: SyncState,
  kind: 'discovery' | 'stage',
  use: (share: DownloadShare) => Promise<T>,
): Promise<T> {
  let share = state.takeShare(kind);
  while (!share) {
    await condition(() => state.hasFreeSlot);
    share = state.takeShare(kind);
  }
  try {
    return await use(share);
  } finally {
    state.giveShareBack(share);
  }
}

async function complete(state: SyncState, { syncId, version }: OpenedVersion): Promise<SyncRepositoryResult> {
  enter(state, 'completing');
  const outcome = await completeVersion.executeWithOptions({ summary: `complete version ${version}` }, [{ syncId }]);
  enter(state, 'completed');
  return { ...outcome, skipped: false };
}

/** Notes why the sync has stopped; all that it has done stays for the next one. */
async function stop(state: SyncState, error: unknown): Promise<void> {
  const { opened } = state;
  const canceled = isCancellation(error);
  enter(state, canceled ? 'canceled' : 'failed');
  if (!opened) return;
  await CancellationScope.nonCancellable(() =>
    closeSync.executeWithOptions(
      { summary: `${state.phase} after ${count(state.progress().batches.finished)} batches` },
      [
        {
          syncId: opened.syncId,
          state: canceled ? 'canceled' : 'failed',
          error: canceled ? null : describeFailure(error),
        },
      ],
    ),
  );
}

function describeFailure(error: unknown): SyncFailure {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (!(cause instanceof ApplicationFailure)) {
    return { type: 'Error', message: cause instanceof Error ? cause.message : String(cause), transient: true };
  }
  const details = cause.details?.[0] as { readonly transient?: boolean } | undefined;
  return { type: cause.type ?? 'Error', message: cause.message, transient: details?.transient ?? false, details };
}

function enter(state: SyncState, phase: SyncPhase): void {
  state.phase = phase;
  upsertSearchAttributes([{ key: { name: 'PenstockStage', type: 'KEYWORD' }, value: phase }]);
  setCurrentDetails(describeProgress(state.progress()));
}

function openedOf(state: SyncState): OpenedVersion {
  if (!state.opened) throw new Error('the version is open while batches and discoveries run');
  return state.opened;
}
