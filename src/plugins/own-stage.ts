import type { Readable } from 'node:stream';

import type { DeclaredContent } from './content-type';
import type { BatchSql, DeclaredArtifact, RemoteSummary } from './plugin';

/** A unit as a stage of a plugin's own sees it. */
export interface Unit {
  readonly content: DeclaredContent;
  readonly artifacts: readonly UnitArtifact[];
}

/** A file of a unit. */
export interface UnitArtifact extends DeclaredArtifact {
  readonly url: readonly string[];
  readonly deferred: boolean;
  /** The digest under which it is stored; `null` while it is not: deferred, or not downloaded yet. */
  readonly storedSha256: string | null;
  /** @throws Error where it is not stored. */
  stream(): Readable;
}

/**
 * A unit as a stage of a plugin's own gives it back, with its fields completed or changed. Where `artifacts` is another list
 * than the one it got, the unit's files are replaced: such a stage stands before those that find and download them.
 */
export interface ChangedUnit {
  readonly content: DeclaredContent;
  readonly artifacts: readonly DeclaredArtifact[];
}

export type UnitAnswer = ChangedUnit | Dropped | Refused;

/** The stage's answer that a unit is left out: the rest goes on, and its future resolves with nothing. */
export interface Dropped {
  readonly dropped: string;
}

/** The stage's answer that a unit is wrong: the rest goes on, and the sync fails, naming it. */
export interface Refused {
  readonly refused: string;
  /** Whether the same sync again may succeed; not, where absent. */
  readonly transient?: boolean;
}

/** What a stage of a plugin's own works with. */
export interface OwnStageContext {
  readonly remote: RemoteSummary;
  readonly signal: AbortSignal;
}

/** What a stage written against single units works with. */
export interface UnitStageContext extends OwnStageContext {
  /**
   * Fetches a small file, within the remote's limits, settings and retries.
   *
   * @param maxBytes - a longer body is an error; 1 MiB where absent.
   */
  readonly fetch: (url: string, maxBytes?: number) => Promise<Buffer>;
}

/** A stage written against single units. What it returns is written back for the whole batch at once. */
export interface UnitStage {
  readonly kind: 'unit';
  /** Which units it sees: only content that is new, or all. */
  readonly units: 'new' | 'all';
  run(unit: Unit, context: UnitStageContext): Promise<UnitAnswer>;
}

/** A stage written against the batch, as SQL over the staging tables, in one short transaction: so it fetches nothing. */
export interface BatchStage {
  readonly kind: 'batch';
  run(sql: BatchSql, context: OwnStageContext): Promise<void>;
}

export type OwnStage = UnitStage | BatchStage;

/** Leaves a unit out of the version. */
export function drop(reason: string): Dropped {
  return { dropped: reason };
}

/** Refuses a unit: the sync fails in the end and names it, with the reason. */
export function refuse(reason: string): Refused {
  return { refused: reason };
}
