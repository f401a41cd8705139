import { defineQuery, defineSignal } from '@temporalio/workflow';

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

/** Sent by a discovery for the batches that it has staged; monotonic, so that a lost or doubled one changes nothing. */
export const batchDiscovered = defineSignal<[BatchesDiscovered]>('batchDiscovered');
/** Sent when content futures have resolved; monotonic too. */
export const contentsResolved = defineSignal<[DiscoveriesOpened]>('contentsResolved');
export const progress = defineQuery<SyncProgress>('progress');
