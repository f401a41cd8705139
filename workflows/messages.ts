import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';

import type { SyncLimits } from '../src/models/sync-models';

/** The number of the last batch that is staged: all up to it are there. */
export interface BatchesDiscovered {
  readonly syncId: string;
  readonly batches: number;
}

/** The number of the last discovery that resolved contents have opened: all up to it are there. */
export interface DiscoveriesOpened {
  readonly syncId: string;
  readonly discoveries: number;
}

/** What the query `progress` answers. */
export interface SyncProgress {
  readonly repository: string;
  readonly stage: string;
  /** Why it is paused; `null`: it is not. */
  readonly paused: string | null;
  /** What it may ask of upstream now. */
  readonly limits: SyncLimits | null;
  readonly version: number | null;
  readonly batches: { readonly discovered: number; readonly finished: number };
  readonly discoveries: { readonly opened: number; readonly finished: number };
  readonly stages: readonly StageProgress[];
}

/** One stage, summed over the batches that have passed it. */
export interface StageProgress {
  readonly stage: string;
  readonly batches: number;
  readonly units: number;
  readonly bytes: number;
  /** Milliseconds that its activities took, waiting and retries included. */
  readonly milliseconds: number;
}

/** Why a workflow pauses, for those who look at it. */
export interface PauseRequest {
  readonly reason: string;
}

/** Sent by a discovery for the batches that it has staged; monotonic, so that a lost or doubled one changes nothing. */
export const batchDiscovered = defineSignal<[BatchesDiscovered]>('batchDiscovered');
/** Sent when content futures have resolved; monotonic too. */
export const contentsResolved = defineSignal<[DiscoveriesOpened]>('contentsResolved');
export const progress = defineQuery<SyncProgress>('progress');

/** Brings what is under way to rest, and starts nothing more until {@link resume}; gives why it is paused. */
export const pause = defineUpdate<string, [PauseRequest]>('pause');
export const resume = defineUpdate('resume');
/** The same update; refused where it is paused for another reason. */
export const resumeFrom = defineUpdate<unknown, [PauseRequest]>('resume');
/** Sets what is given, for as long as this sync runs; what is downloading then begins anew. */
export const changeLimits = defineUpdate<SyncLimits, [Partial<SyncLimits>]>('changeLimits');
/** Tries again what could not be had so far. */
export const retryFailures = defineUpdate('retryFailures');
