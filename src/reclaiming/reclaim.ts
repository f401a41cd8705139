import type { Pool } from 'pg';

import type { Removal } from '../cleaning/cleaning';

/** How far a reclaim is, and what it has freed; a dry run: would free. */
export interface ReclaimProgress {
  readonly dryRun: boolean;
  readonly over: boolean;
  /** Files of contents that are deferred now. */
  readonly contents: number;
  readonly artifacts: number;
  readonly files: number;
  /** Of the files. */
  readonly bytes: number;
}

/** A reclaim as its row has it. */
export interface ReclaimRow extends ReclaimProgress {
  readonly repository: string;
  readonly repositoryId: string;
  /** Versions whose files stay. */
  readonly keepVersions: readonly number[];
  /** The last artifact that was looked at. */
  readonly cursor: string;
  /** The sha256 of artifacts whose rows are gone, and whose files are still to be removed. */
  readonly pending: readonly string[];
}

/** A reclaim at work. */
export interface Reclaim extends Removal {
  readonly row: ReclaimRow;
}

/** Nothing is protected by its age: who reclaims wants the room now. */
export const anyAge = new Date('9999-01-01T00:00:00Z');

export async function readReclaim(pool: Pick<Pool, 'query'>, id: string): Promise<ReclaimRow> {
  const { rows } = await pool.query<ReclaimRow>(
    `select repository.name as repository, repository_id as "repositoryId", keep_versions as "keepVersions",
            dry_run as "dryRun", cursor, pending, over, contents::float8 as contents, artifacts::float8 as artifacts,
            files::float8 as files, bytes::float8 as bytes
       from reclaims reclaim join repositories repository on repository.id = reclaim.repository_id
      where reclaim.id = $1`,
    [id],
  );
  if (!rows[0]) throw new Error(`There is no reclaim ${id}.`);
  return rows[0];
}
