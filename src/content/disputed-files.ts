import { LRUCache } from 'lru-cache';

import { DigestMismatch, DownloadFailed, SizeMismatch } from '../downloads/download-error';
import { COOL_DOWN } from '../fetching/find-sources';
import { FileUnavailable } from './errors';
import { FileChanged } from './growing-file';

/**
 * Files of which clients may hold bytes that are worth nothing, as they were given out before they were found wrong. While it
 * is known of them, the next source's bytes must not be put behind those.
 */
export class DisputedFiles {
  readonly #ids = new LRUCache<string, true>({ max: 100_000, ttl: COOL_DOWN * 1000 });

  has(contentArtifactId: string): boolean {
    return this.#ids.has(contentArtifactId);
  }

  /** Notes why a source could not give a file. */
  noteFailure(contentArtifactId: string, error: Error): void {
    if (!(error instanceof DownloadFailed)) return;
    const { failures } = error;
    if (failures.some(({ error: each }) => each instanceof DigestMismatch || each instanceof SizeMismatch))
      this.#ids.set(contentArtifactId, true);
  }

  /** Passes bytes on, and notes where the rest of them cannot be had. */
  async *watch(contentArtifactId: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    let given = false;
    try {
      for await (const chunk of bytes) {
        given = true;
        yield chunk;
      }
    } catch (error) {
      const lost = error instanceof FileUnavailable || error instanceof FileChanged;
      if (given && lost) this.#ids.set(contentArtifactId, true);
      throw error;
    }
  }
}
