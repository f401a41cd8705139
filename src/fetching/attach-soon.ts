import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';

import type { Storage } from '../storage/storage';
import { attachArtifacts } from './attach-artifacts';
import type { FetchedFile } from './attach-artifacts';

/** Milliseconds for which files are gathered: each flush of the disk holds up all that writes to it meanwhile. */
const GATHERED_MS = 250;
/** Milliseconds before each further attempt: a database that restarts is back soon. */
const RETRY_AFTER = [1_000, 5_000];

/** Brings fetched files to the disk and attaches them, those of a moment together. */
export class AttachSoon {
  #files: FetchedFile[] = [];
  #batch: Promise<void> | undefined;
  readonly #running = new Set<Promise<void>>();

  /** @param onError - told where files could not be attached; they stay deferred */
  constructor(
    private readonly pool: Pool,
    private readonly storage: Storage,
    private readonly onError: (error: unknown, files: readonly FetchedFile[]) => void,
  ) {}

  /** @param file - it lies in the storage, and need not be flushed */
  add(file: FetchedFile): void {
    this.#files.push(file);
    if (this.#batch) return;
    const batch = (this.#batch = this.#attach().finally(() => this.#running.delete(batch)));
    this.#running.add(batch);
  }

  /** Returns once nothing is left to be attached. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #attach(): Promise<void> {
    await delay(GATHERED_MS);
    const files = this.#files;
    this.#files = [];
    this.#batch = undefined;
    for (let attempt = 0; ; attempt += 1) {
      try {
        await this.storage.flush();
        await attachArtifacts(this.pool, this.storage, files);
        return;
      } catch (error) {
        const wait = RETRY_AFTER[attempt];
        if (wait === undefined) {
          this.onError(error, files);
          return;
        }
        await delay(wait);
      }
    }
  }
}
