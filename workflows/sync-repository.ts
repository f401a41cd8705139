import {
  ApplicationFailure,
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  patched,
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
import type { AllowedMissing } from '../src/models/sync-models';
import { isAbsent, isNotEnoughRoom, isRest, isStorageFull } from './activity-errors';
import { activityOptions } from './activity-options';
import { describeFailure } from './describe-failure';
import { batchDiscovered, contentsResolved, progress } from './messages';
import { count, describeProgress, describeStage } from './descriptions';
import { hearOperators } from './operators';
import { SyncState } from './sync-state';
import type { CarriedState, Next, SyncPhase } from './sync-state';
import { UpstreamRequests } from './upstream-requests';

/** What a sync is started with. */
export interface SyncRepositoryInput extends OpenVersionInput {
  /** How much may be missing from the version; absent: nothing. */
  readonly allowMissing?: AllowedMissing;
  /** Batches after which a run continues as new, where Temporal does not suggest it earlier. */
  readonly continueAsNewAfter?: number;
  /** What the run before has left open. */
  readonly carried?: CarriedState;
}

/** What a sync ends with. */
export type SyncRepositoryResult = SyncOutcome & { readonly skipped: boolean };

const { openVersion, discoverContents, noteSync, reopenFailures, completeVersion, closeSync } =
  proxyActivities<Activities>(activityOptions);
const stageActivities = proxyActivities<Record<string, (input: StageInput) => Promise<BatchTally>>>(activityOptions);

/**
 * Syncs a repository with its remote: opens a version, discovers content, takes each batch of it through the stages of the
 * plugin's pipeline, and completes the version. Whatever interrupts it, the next sync of the repository goes on from there.
 */
export async function syncRepository(input: SyncRepositoryInput): Promise<SyncRepositoryResult> {
  const state = new SyncState(input.repository, input.carried);
  const requests = new UpstreamRequests();
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
  hearOperators(state, requests);

  try {
    const opened = state.opened ?? (await open(state, input));
    if (opened.skipped) return skip(state, opened);
    await work(state, requests, input);
    if (state.over) return await complete(state, opened, input);
  } catch (error) {
    await stop(state, error);
    throw error;
  }
  // Batches that were under way have come to their end, discoveries to rest; a run with an empty history goes on.
  return continueAsNew<typeof syncRepository>({ ...input, carried: state.carry() });
}

async function open(state: SyncState, input: SyncRepositoryInput): Promise<OpenedVersion> {
  const { repository, mode, optimize, onlyMissing } = input;
  const opened = await openVersion.executeWithOptions({ summary: `open a version of ${repository}` }, [
    { repository, mode, optimize, ...(onlyMissing ? { onlyMissing } : {}) },
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
    missing: 0,
  };
}

/** Runs discoveries and batches, a window of each at once, until all are over or the run has to drain. */
async function work(state: SyncState, requests: UpstreamRequests, input: SyncRepositoryInput): Promise<void> {
  if (state.paused !== undefined) requests.rest();
  try {
    for (;;) {
      await condition(() => state.isAsked || state.canStart || state.idle);
      if (state.isAsked) await answer(state);
      else if (state.canStart) start(state, requests, input);
      else if (state.paused !== undefined && !state.draining) await restUntilResumed(state);
      else break;
    }
  } catch (canceled) {
    // The activities have heard of it too: what they have done until they end is kept.
    await CancellationScope.nonCancellable(() => condition(() => state.idle));
    throw canceled;
  }
  if (state.failures.length > 0) throw state.failures[0];
}

/** Starts the next discovery or batch; after each that ends the run may have done enough. */
function start(
  state: SyncState,
  requests: UpstreamRequests,
  { continueAsNewAfter = Infinity }: SyncRepositoryInput,
): void {
  const next = state.start();
  const task =
    next.kind === 'discovery'
      ? requests.discover(() => discover(state, next.number))
      : processBatch(state, requests, next.number);
  void settle(state, requests, next, task).then(() => {
    setCurrentDetails(describeProgress(state.progress()));
    const enough = state.finishedInRun >= continueAsNewAfter || workflowInfo().continueAsNewSuggested;
    if (state.failures.length === 0 && !enough) return;
    state.draining = true;
    requests.restDiscoveries();
  });
}

async function settle(state: SyncState, requests: UpstreamRequests, next: Next, task: Promise<unknown>): Promise<void> {
  try {
    await task;
    state.ended(next, 'over');
  } catch (error) {
    if (isRest(error)) state.ended(next, 'rested');
    else if (isAbsent(error)) state.ended(next, 'absent');
    else if (isStorageFull(error) && patched('pause where the storage is full')) {
      state.ended(next, 'rested');
      state.pause(describeFailure(error).message);
      requests.rest();
    } else {
      state.failed(next, error);
      if (isNotEnoughRoom(error)) requests.rest();
    }
  }
}

/** Does what an operator has asked for. */
async function answer(state: SyncState): Promise<void> {
  const { syncId } = openedOf(state);
  const request = state.takeRequest();
  if (request === 'note limits') {
    const { limits } = state;
    await noteSync.executeWithOptions({ summary: 'note the changed limits' }, [{ syncId, limits }]);
  } else if (request === 'retry failures') {
    state.reopenBatches(await reopenFailures.executeWithOptions({ summary: 'try again what failed' }, [{ syncId }]));
  }
}

/** All that was under way is over, or at rest: nothing is begun until somebody resumes the sync, or cancels it. */
async function restUntilResumed(state: SyncState): Promise<void> {
  const { syncId } = openedOf(state);
  enter(state, 'paused');
  await noteSync.executeWithOptions({ summary: `paused: ${state.paused ?? ''}`.slice(0, 80) }, [
    { syncId, paused: state.paused ?? null },
  ]);
  await condition(() => state.paused === undefined || state.isAsked);
  while (state.paused !== undefined && patched('answer while paused')) {
    await answer(state);
    await condition(() => state.paused === undefined || state.isAsked);
  }
  await condition(() => state.paused === undefined);
  enter(state, 'syncing');
  await noteSync.executeWithOptions({ summary: 'resumed' }, [{ syncId, paused: null }]);
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
async function processBatch(state: SyncState, requests: UpstreamRequests, batch: number): Promise<void> {
  const { syncId, stages } = openedOf(state);
  let tally: BatchTally | undefined;
  for (const [index, stage] of stages.entries()) {
    const last = index === stages.length - 1;
    if (!last && tally && !hasWork(stage, tally)) continue;
    tally = await runStage(state, requests, stage, { syncId, batch, last }, tally);
  }
}

function hasWork({ needs }: PlannedStage, tally: BatchTally): boolean {
  return needs.length === 0 || needs.some((need) => tally[need] > 0);
}

async function runStage(
  state: SyncState,
  requests: UpstreamRequests,
  stage: PlannedStage,
  input: StageInput,
  before: BatchTally | undefined,
): Promise<BatchTally> {
  const begun = Date.now();
  const run = (share?: DownloadShare) =>
    callStage(stage, describeStage(stage.name, input.batch, before), share ? { ...input, share } : input);
  const after = stage.requests ? await requests.runStage(() => withShare(state, 'stage', run)) : await run();
  state.stageEnded({ stage: stage.name, batch: input.batch }, before, after, Date.now() - begun);
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

async function complete(
  state: SyncState,
  { syncId, version }: OpenedVersion,
  { allowMissing }: SyncRepositoryInput,
): Promise<SyncRepositoryResult> {
  enter(state, 'completing');
  const outcome = await completeVersion.executeWithOptions({ summary: `complete version ${version}` }, [
    { syncId, ...(allowMissing ? { allowMissing } : {}) },
  ]);
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

function enter(state: SyncState, phase: SyncPhase): void {
  state.phase = phase;
  upsertSearchAttributes([{ key: { name: 'PenstockStage', type: 'KEYWORD' }, value: phase }]);
  setCurrentDetails(describeProgress(state.progress()));
}

function openedOf(state: SyncState): OpenedVersion {
  if (!state.opened) throw new Error('the version is open while batches and discoveries run');
  return state.opened;
}
