import type { Pool, PoolClient } from 'pg';

import type { MaintenanceAttempt } from '../../activities/maintenance-attempt';
import { tidyingHours } from '../consistency/problem';
import type { Storage } from '../storage/storage';

/** What is cleaned, in this order; what goes first may be all that another thing was for. */
export const cleaningPhases = ['staging', 'contents', 'artifacts', 'files'] as const;
export type CleaningPhase = (typeof cleaningPhases)[number] | 'over';

/** What a cleaning has freed; a dry run: would free. */
export interface Freed {
  readonly contents: number;
  readonly artifacts: number;
  readonly files: number;
  /** Of the files. */
  readonly bytes: number;
}

/** How far a cleaning is. */
export interface CleaningProgress extends Freed {
  readonly dryRun: boolean;
  readonly phase: CleaningPhase;
  /** Within the phase: the last id, or the number of the next group of folders. */
  readonly cursor: string;
}

/** What removes: a cleaning, or a reclaim. */
export interface Removal {
  readonly pool: Pool;
  readonly storage: Storage;
  readonly attempt: MaintenanceAttempt;
  /** What is as old as this, or younger, stays. */
  readonly before: Date;
  readonly signal: AbortSignal;
}

/** A cleaning at work. */
export interface Cleaning extends Removal {
  readonly dryRun: boolean;
}

/** Does a part of a phase from the cursor on, and returns where to go on; `undefined`: the phase is over. */
export type CleaningStep = (cleaning: Cleaning, cursor: string) => Promise<string | undefined>;

const columns = `dry_run as "dryRun", phase, cursor::text as cursor, contents::float8 as contents,
  artifacts::float8 as artifacts, files::float8 as files, bytes::float8 as bytes`;

/** How far a cleaning is, and what is too young for it. */
export async function readCleaning(
  pool: Pick<Pool, 'query'>,
  id: string,
): Promise<{ readonly progress: CleaningProgress; readonly before: Date }> {
  const { rows } = await pool.query<CleaningProgress & { readonly before: Date }>(
    `select ${columns}, started_at - protection_seconds * interval '1 second' as before from cleanings where id = $1`,
    [id],
  );
  if (!rows[0]) throw new Error(`There is no cleaning ${id}.`);
  const { before, ...progress } = rows[0];
  return { progress, before };
}

/** Adds to what is freed. */
export async function noteFreed(
  client: PoolClient,
  { attempt }: Pick<Removal, 'attempt'>,
  freed: Partial<Freed>,
): Promise<void> {
  await client.query(
    `update ${attempt.table} set contents = contents + $2, artifacts = artifacts + $3, files = files + $4, bytes = bytes + $5
      where id = $1`,
    [attempt.id, freed.contents ?? 0, freed.artifacts ?? 0, freed.files ?? 0, freed.bytes ?? 0],
  );
}

/** Notes where a later attempt goes on. */
export async function noteCursor(
  client: PoolClient,
  { attempt }: Pick<Removal, 'attempt'>,
  cursor: string,
): Promise<void> {
  await client.query(`update ${attempt.table} set cursor = $2 where id = $1`, [attempt.id, cursor]);
}

/** What is staged for a sync that is over holds nothing any more; it gets some time to tidy up behind itself. */
export const syncIsOver = `(sync.state in ('completed', 'skipped', 'discarded')
  and sync.finished_at < least($1::timestamptz, now() - interval '${tidyingHours} hours'))`;
