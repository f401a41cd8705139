import type { Client } from '@temporalio/client';
import type { Pool } from 'pg';

import { PenstockError } from '../errors';
import type { PluginRegistry } from '../plugins';
import type { Storage } from '../storage/storage';
import { describePlace } from '../storage/storage-place';
import type { StoragePlace } from '../storage/storage-place';

/** What a problem is about: only what applies is there. Ids are those of the rows. */
export interface ProblemDetails {
  readonly repository?: string | null;
  readonly version?: number;
  readonly sync?: string;
  readonly type?: string;
  readonly content?: string | null;
  readonly artifact?: string;
  /** The key in the storage, or the relative path of a content's file. */
  readonly path?: string;
  readonly url?: string;
  readonly expected?: string;
  readonly found?: string;
}

/** An invariant that does not hold for one object. */
export interface Problem extends ProblemDetails {
  /** Stable, for programs. */
  readonly kind: ProblemKind;
  /** What is wrong, on which object, expected and found. */
  readonly message: string;
  /** What mends it. */
  readonly mend: string;
}

export type ProblemKind =
  | 'versionCounts'
  | 'incompleteVersionVisible'
  | 'incompleteVersionWithoutSync'
  | 'openSyncWithoutVersion'
  | 'contentWithoutRow'
  | 'contentTypeUnknown'
  | 'rowOfOtherType'
  | 'contentArtifactWithoutSource'
  | 'storageMissing'
  | 'artifactFileMissing'
  | 'artifactFileSize'
  | 'artifactFileDigest'
  | 'artifactFileUnreadable'
  | 'fileWithoutRow'
  | 'fileUnknown'
  | 'temporaryFileLeft'
  | 'corruptedFileLeft'
  | 'metadataLeft'
  | 'metadataMissing'
  | 'stagingLeft'
  | 'syncWithoutWorkflow';

/** A storage that is only looked at. */
export type CheckedStorage = Pick<Storage, 'list' | 'sizeOf' | 'read'>;

/** What the checks look at. They write nothing. */
export interface CheckContext {
  readonly pool: Pool;
  readonly plugins: PluginRegistry;
  /** Absent: it is not there, as on a machine that runs no worker. */
  readonly storage: CheckedStorage | undefined;
  /** Where the storage is. */
  readonly place: StoragePlace;
  /** Absent: Temporal does not answer. */
  readonly client: Client | undefined;
  /** Whether the files' digests are checked too. */
  readonly deep: boolean;
  /** Hours: a younger file without a row may be one that a running sync has stored and not saved yet. */
  readonly olderThan: number;
  readonly signal: AbortSignal;
}

/** Checks a group of invariants; `tally` is told how many objects were looked at. */
export type Check = (context: CheckContext, tally: (objects: number) => void) => AsyncIterable<Problem>;

/** A group of invariants cannot be checked here; the message says why, and how it can be. */
export class NotChecked extends PenstockError {}

/** @throws {@link NotChecked} where there is none. */
export function requireStorage({ storage, place }: CheckContext): CheckedStorage {
  if (storage) return storage;
  throw new NotChecked(
    `There is no storage at ${describePlace(place)}, so what lies in it was not checked. To check that, set PENSTOCK_STORAGE to where it is, or run this where a worker runs.`,
  );
}

/** Running or resumable; such a sync owns an incomplete version. */
export const openStates = `('running', 'failed', 'canceled')`;

/** Hours that a sync which is over may take to tidy up: it goes on until it succeeds, and staging of millions of rows takes minutes. */
export const tidyingHours = 1;
