import { setTimeout } from 'node:timers/promises';

import type { PoolClient } from 'pg';

import { asError } from '../src/errors';
import type { PenstockError } from '../src/errors';
import { toJsonb } from '../src/models/jsonb';
import type { Storage } from '../src/storage/storage';
import { findLost } from '../src/staging/lost-artifacts';
import { DownloadWaits } from './download-waits';
import { StaleAttempt } from './stage';
import type { StageAttempt } from './stage';

/** What has become of one artifact's download. */
export interface DownloadResult {
  readonly unitId: string;
  readonly path: string;
  readonly sha256: string | null;
  readonly size: number | null;
  readonly error: PenstockError | null;
}

/** Milliseconds between two writes: what a crash makes forget of downloads whose sha256 was not declared. */
const interval = 200;
/** Milliseconds between two tries while the database is away, at most. */
const longestInterval = 5000;

async function pause(milliseconds: number): Promise<false> {
  await setTimeout(milliseconds, undefined, { ref: false });
  return false;
}

/** Data that is wrong, or a statement (SQLSTATE classes 22, 23, 42): it would be refused again. */
function isRefusal(error: unknown): boolean {
  return /^(22|23|42)/.test((error as { readonly code?: string }).code ?? '');
}

/** Writes down what was downloaded, as sets, and what is waited for, while the downloads go on. */
export class DownloadRecord {
  readonly waits = new DownloadWaits();
  /** Bytes that have come. */
  bytes = 0;
  /** Artifacts that are stored. */
  stored = 0;
  private pending: DownloadResult[] = [];
  /** Files that were removed before they were written down. */
  private removed = 0;

  /** @param onFailedWrite - told when the database is away: what is to be written is kept, and tried again */
  constructor(
    private readonly attempt: StageAttempt,
    private readonly storage: Storage,
    private readonly onFailedWrite: (error: Error) => void,
  ) {}

  add(result: DownloadResult): void {
    if (result.sha256 !== null) this.stored += 1;
    this.pending.push(result);
  }

  /**
   * Writes at intervals until the downloads are over, and what is left then. While the database is away, downloads go on: what they
   * store is found again.
   *
   * @throws {@link StaleAttempt} and what PostgreSQL refuses at once, and what the last write fails with; an error that lets
   *   Temporal try again where files are gone
   */
  async whileWriting(downloads: Promise<unknown>): Promise<void> {
    const over = downloads.then(() => true);
    // Thrown below; until then somebody has to have seen it.
    over.catch(() => undefined);
    let wait = interval;
    while (!(await Promise.race([over, pause(wait)]))) {
      try {
        await this.flush();
        wait = interval;
      } catch (error) {
        if (error instanceof StaleAttempt || isRefusal(error)) throw error;
        if (wait === interval) this.onFailedWrite(asError(error));
        wait = Math.min(wait * 2, longestInterval);
      }
    }
    await this.flush();
    if (this.removed > 0) throw new Error(`${this.removed} stored files were removed before they were written down.`);
  }

  async flush(): Promise<void> {
    const results = this.pending;
    const waits = this.waits.takeChanges();
    if (results.length === 0 && waits === undefined) return;
    this.pending = [];
    try {
      this.removed += await this.attempt.transaction(async (client) => {
        if (waits !== undefined) await client.query(writeWaits, [this.attempt.batchId, toJsonb(waits)]);
        return results.length > 0 ? this.write(client, results) : 0;
      });
    } catch (error) {
      // They are stored: the next write has them too.
      this.pending = [...results, ...this.pending];
      throw error;
    }
  }

  /** Gives how many of the files are gone. */
  private async write(client: PoolClient, stored: readonly DownloadResult[]): Promise<number> {
    // A file that no row names may have been cleaned away since it was found, or put in place; from now on it is not.
    const lost = new Set(await findLost(this.storage, stored));
    const results = stored.filter(({ sha256 }) => sha256 === null || !lost.has(sha256));
    await client.query(writeResults, [
      results.map(({ unitId }) => unitId),
      results.map(({ path }) => path),
      results.map(({ sha256 }) => sha256),
      results.map(({ size }) => size),
      results.map(
        ({ error }) =>
          error && toJsonb({ type: error.name, message: error.message, transient: error.transient, ...error.details }),
      ),
    ]);
    await client.query(countDownloads, [this.attempt.batchId]);
    return stored.length - results.length;
  }
}

const writeResults = `
  update staged_artifacts staged set stored_sha256 = result.sha256, stored_size = result.size, error = result.error
    from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::jsonb[]) as result (unit_id, path, sha256, size, error)
   where staged.unit_id = result.unit_id and staged.relative_path = result.path`;

/** Counted afresh, not added to: an attempt that runs again counts nothing twice. */
const countDownloads = `
  update sync_batches batch set downloaded = counted.downloaded, downloaded_bytes = counted.bytes
    from (select count(stored_sha256) as downloaded, coalesce(sum(stored_size), 0) as bytes
            from staged_artifacts where batch_id = $1) counted
   where batch.id = $1`;

const writeWaits = 'update sync_batches set waiting = $2 where id = $1';
