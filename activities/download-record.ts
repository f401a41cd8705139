import { setTimeout } from 'node:timers/promises';

import { asError } from '../src/errors';
import type { PenstockError } from '../src/errors';
import { toJsonb } from '../src/models/jsonb';
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

async function pause(): Promise<false> {
  await setTimeout(interval, undefined, { ref: false });
  return false;
}

/** Writes down what was downloaded, as sets, while the downloads go on. */
export class DownloadRecord {
  /** Bytes that have come. */
  bytes = 0;
  /** Artifacts that are stored. */
  stored = 0;
  private pending: DownloadResult[] = [];

  /** @param onFailedWrite - told of a write that failed and will be tried again */
  constructor(
    private readonly attempt: StageAttempt,
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
   * @throws {@link StaleAttempt} at once, and what the last write fails with
   */
  async whileWriting(downloads: Promise<unknown>): Promise<void> {
    const over = downloads.then(() => true);
    // Thrown below; until then somebody has to have seen it.
    over.catch(() => undefined);
    while (!(await Promise.race([over, pause()]))) {
      await this.flush().catch((error: unknown) => {
        if (error instanceof StaleAttempt) throw error;
        this.onFailedWrite(asError(error));
      });
    }
    await this.flush();
  }

  async flush(): Promise<void> {
    const results = this.pending;
    if (results.length === 0) return;
    this.pending = [];
    try {
      await this.write(results);
    } catch (error) {
      // They are stored: the next write has them too.
      this.pending = [...results, ...this.pending];
      throw error;
    }
  }

  private async write(results: readonly DownloadResult[]): Promise<void> {
    await this.attempt.transaction(async (client) => {
      await client.query(writeResults, [
        results.map(({ unitId }) => unitId),
        results.map(({ path }) => path),
        results.map(({ sha256 }) => sha256),
        results.map(({ size }) => size),
        results.map(
          ({ error }) =>
            error &&
            toJsonb({ type: error.name, message: error.message, transient: error.transient, ...error.details }),
        ),
      ]);
      await client.query(countDownloads, [this.attempt.batchId]);
    });
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
