import type { Pool, PoolClient, QueryResultRow } from 'pg';

import { PenstockError } from '../src/errors';
import { inTransaction } from '../src/models/database';
import { takeIntoUse } from '../src/models/use-lock';
import { currentFence } from './current-workflow';
import { reopenAfterReset } from './reopen-sync';

/** What the workflow passes to a stage: references only, the units lie in the staging tables. */
export interface StageInput {
  readonly syncId: string;
  /** The batch's number in its sync, from 1. */
  readonly batch: number;
  /** Whether no stage follows: the batch is over when this one has ended. */
  readonly last: boolean;
  /** The share of the remote's limits that this activity may use; only where it makes requests. */
  readonly share?: DownloadShare;
}

/** A part of what the remote allows for a whole sync. */
export interface DownloadShare {
  /** Requests at once. */
  readonly slots: number;
  /** Requests a second; `null`: no limit. */
  readonly requestsPerSecond: number | null;
  /** Requests at once of the whole sync: an activity may use the slots that others in its process leave free. */
  readonly most?: number;
}

/** How much is left to do in a batch; what the workflow skips stages by, and what it shows. */
export interface BatchTally {
  readonly units: number;
  /** Contents that are not saved yet. */
  readonly newContents: number;
  /** Artifacts that are not known to be stored, deferred ones included. */
  readonly unknownArtifacts: number;
  /** Artifacts to download, and their declared bytes. */
  readonly downloads: number;
  readonly downloadBytes: number;
  /** Artifacts that are downloaded, but have no row yet. */
  readonly unsavedArtifacts: number;
  /** Artifacts that are not tied to their content yet. */
  readonly unattachedArtifacts: number;
  /** Artifacts whose source at the remote is not recorded yet. */
  readonly unsourcedArtifacts: number;
  /** Content futures that are open. */
  readonly futures: number;
  /** Artifacts and units that failed. */
  readonly failures: number;
  /** Artifacts that were downloaded for this batch, and their bytes. */
  readonly downloaded: number;
  readonly downloadedBytes: number;
  /** The highest number of a discovery of the sync: what the signal `contentsResolved` says too. */
  readonly discoveries: number;
}

/** A batch has passed the whole pipeline, and something of it was neither done nor did it fail: a stage is missing. */
export class PipelineIncomplete extends PenstockError {}

/** There is no such batch or discovery, or not yet: a signal came early, or says too much. The workflow passes it over. */
export class NotStaged extends PenstockError {}

/** An attempt that is no longer the current one wanted to write; the database has refused it. */
export class StaleAttempt extends PenstockError {
  /** Nothing is to be mended: the later attempt, or the next sync, goes on. */
  override readonly transient = true;
}

/**
 * Why an attempt may not begin. Where the sync runs, Temporal tries again: either it has begun a later attempt and asks for no
 * other, or the clock of its server was set back, and one of the next attempts is later than all before, or the sync was
 * reset, and runs since just now.
 */
export function notCurrent(what: string, syncRuns: boolean): Error {
  const message = `${what}: this attempt is not the current one.`;
  return syncRuns ? new Error(message) : new StaleAttempt(message);
}

/**
 * One attempt of an activity on one batch. Its fence is the time at which Temporal's server scheduled the attempt: a later
 * attempt has a higher one, also after a reset, a new run, or a new sync that resumes, so that the writes of an earlier
 * attempt which is still alive somewhere are refused.
 */
export class StageAttempt {
  private constructor(
    readonly pool: Pool,
    readonly input: StageInput,
    readonly batchId: string,
    private readonly fence: number,
  ) {}

  /** Makes this attempt the current one. */
  static async begin(pool: Pool, input: StageInput): Promise<StageAttempt> {
    const fence = currentFence();
    const { rows } = await pool.query<{ id: string }>(
      `update sync_batches batch set fence = $3
         from syncs sync
        where batch.sync_id = $1 and batch.number = $2 and batch.fence <= $3
          and sync.id = batch.sync_id and sync.state = 'running'
       returning batch.id`,
      [input.syncId, input.batch, fence],
    );
    if (!rows[0]) {
      // One that has come since the update was looked for too early as well.
      const { rows: found } = await pool.query<{ running: boolean }>(
        `select sync.state = 'running' as running from sync_batches batch join syncs sync on sync.id = batch.sync_id
          where batch.sync_id = $1 and batch.number = $2 and (batch.fence > $3 or sync.state <> 'running')`,
        [input.syncId, input.batch, fence],
      );
      const what = `Batch ${input.batch} of sync ${input.syncId}`;
      if (!found[0]) throw new NotStaged(`${what} is not there, or not yet.`);
      throw notCurrent(what, found[0].running || (await reopenAfterReset(pool, input.syncId)));
    }
    return new StageAttempt(pool, input, rows[0].id, fence);
  }

  /**
   * Runs statements in one transaction that holds the batch's row: no other attempt writes meanwhile, and nothing is removed that
   * it takes into use.
   *
   * @throws {@link StaleAttempt} where this attempt is no longer the current one.
   */
  async transaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    return inTransaction(
      this.pool,
      async (client) => {
        const { rowCount } = await client.query(
          `select 1 from sync_batches batch join syncs sync on sync.id = batch.sync_id
          where batch.id = $1 and batch.fence = $2 and sync.state = 'running'
            for update of batch`,
          [this.batchId, this.fence],
        );
        if (rowCount === 0)
          throw new StaleAttempt(
            `Batch ${this.input.batch} of sync ${this.input.syncId}: a later attempt has taken over.`,
          );
        return work(client);
      },
      takeIntoUse,
    );
  }

  /** Counts what is left, notes it, and after the last stage whether the batch is over; ends a stage's last transaction. */
  async tally(client: PoolClient): Promise<BatchTally> {
    const { rows } = await client.query<BatchTally & QueryResultRow>(tallySql, [this.batchId, this.input.syncId]);
    const tally = rows[0];
    if (!tally) throw new Error('an aggregate without groups has one row');
    const { last } = this.input;
    if (last && tally.failures === 0) await this.refuseLeftOvers(client, tally);
    await client.query(
      `update sync_batches
          set downloads = $2 + downloaded, finished = $3 and $4 = 0, failed = case when $3 then $4 else failed end, waiting = null
        where id = $1`,
      [this.batchId, tally.downloads, last, tally.failures],
    );
    return tally;
  }

  /** What no stage of the pipeline was for is an error at once, not something that is missing from the version. */
  private async refuseLeftOvers(client: PoolClient, tally: BatchTally): Promise<void> {
    const { downloads, unsavedArtifacts, newContents, futures } = tally;
    const left = [
      downloads > 0 && `${downloads} files that were not downloaded`,
      unsavedArtifacts > 0 && `${unsavedArtifacts} files that were not saved`,
      newContents > 0 && `${newContents} contents that were not saved`,
      futures > 0 && `${futures} content futures that were not resolved`,
    ].filter((each) => each !== false);
    if (left.length === 0) return;
    const { rows } = await client.query<{ content: string }>(leftOverUnit, [this.batchId]);
    throw new PipelineIncomplete(
      `Batch ${this.input.batch} of sync ${this.input.syncId} has passed all stages of the plugin's pipeline and leaves ${left.join(', ')}. ` +
        `The first is ${(rows[0]?.content ?? '').slice(0, 300)}. The pipeline leaves out a stage that this content needs.`,
    );
  }
}

const leftOverUnit = `
  select unit.type || ' ' || unit.fields as content
    from staged_units unit
   where unit.batch_id = $1 and unit.outcome is null
     and (not unit.known or (unit.step is not null and unit.discovery is null)
          or exists (select from staged_artifacts artifact
                      where artifact.unit_id = unit.id and artifact.artifact_id is null and not artifact.deferred))
   order by unit.id limit 1`;

const tallySql = `
  with unit_counts as (
    select count(*) as units,
           count(*) filter (where outcome is null and not known) as new_contents,
           count(*) filter (where outcome is null and step is not null and discovery is null) as futures,
           count(*) filter (where outcome = 'refused') as refused
      from staged_units where batch_id = $1
  ), artifact_counts as (
    select count(*) filter (where artifact_id is null and stored_sha256 is null) as unknown,
           count(*) filter (where artifact_id is null and stored_sha256 is null and not deferred) as downloads,
           sum(artifact.size) filter (where artifact_id is null and stored_sha256 is null and not deferred) as download_bytes,
           count(*) filter (where artifact_id is null and stored_sha256 is not null) as unsaved,
           count(*) filter (where not attached) as unattached,
           count(*) filter (where not sourced) as unsourced,
           count(*) filter (where artifact.error is not null and artifact_id is null) as failed,
           count(*) filter (where stored_sha256 is not null) as downloaded,
           sum(stored_size) as downloaded_bytes
      from staged_units unit join staged_artifacts artifact on artifact.unit_id = unit.id
     where unit.batch_id = $1 and unit.outcome is null
  )
  select units::int as "units", new_contents::int as "newContents", futures::int as "futures",
         (refused + failed)::int as "failures", unknown::int as "unknownArtifacts", downloads::int as "downloads",
         coalesce(download_bytes, 0)::float8 as "downloadBytes", unsaved::int as "unsavedArtifacts",
         unattached::int as "unattachedArtifacts", unsourced::int as "unsourcedArtifacts",
         downloaded::int as "downloaded", coalesce(downloaded_bytes, 0)::float8 as "downloadedBytes",
         (select discoveries from syncs where id = $2) as "discoveries"
    from unit_counts, artifact_counts`;
