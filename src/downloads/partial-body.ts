import { createHash, type Hash } from 'node:crypto';

import type { FileSink, StorageWriter } from '../storage/storage';
import { declaredNames, type DigestName, type Digests } from './digests';
import { DigestMismatch, SizeMismatch } from './download-error';

const done = Promise.resolve();

/** What is known of a body before it comes. */
export interface Declared {
  /** In lower case. */
  readonly digests: Digests;
  /** Bytes. */
  readonly size?: number | undefined;
}

/** A body that is whole, and as it was declared. */
export interface WholeBody {
  readonly sha256: string;
  readonly size: number;
  /** Those that were declared, and sha256. */
  readonly digests: Digests;
}

/**
 * What has come of one body: its length, the state of its digests, and its bytes in a temporary file. It outlives an attempt, so
 * that the next one can go on where this one broke.
 */
export class PartialBody {
  /** Bytes so far. */
  received = 0;
  readonly #hashes: readonly (readonly [DigestName, Hash])[];
  #writer: StorageWriter | undefined;

  /** @param storage - where it is written; without one it is only measured */
  constructor(
    private readonly declared: Declared,
    private readonly storage: FileSink | undefined,
  ) {
    const others = declaredNames(declared.digests).filter((name) => name !== 'sha256');
    this.#hashes = ['sha256' as const, ...others].map((name) => [name, createHash(name)]);
  }

  add(chunk: Uint8Array): Promise<void> {
    for (const [, hash] of this.#hashes) hash.update(chunk);
    this.received += chunk.byteLength;
    if (!this.storage) return done;
    this.#writer ??= this.storage.create();
    return this.#writer.write(chunk);
  }

  /**
   * Compares the whole body with what was declared, and puts it in place. Can be called once.
   *
   * @throws {@link SizeMismatch}, {@link DigestMismatch}
   */
  async finish(url: string, keyOf: (sha256: string) => string): Promise<WholeBody> {
    const { size, digests } = this.declared;
    if (size !== undefined && size !== this.received) throw new SizeMismatch(url, size, this.received);
    const found: Partial<Record<DigestName, string>> = {};
    for (const [name, hash] of this.#hashes) {
      const digest = hash.digest('hex');
      const expected = digests[name];
      if (expected !== undefined && expected !== digest) throw new DigestMismatch(url, name, expected, digest);
      found[name] = digest;
    }
    const sha256 = found.sha256 ?? '';
    if (this.storage) {
      this.#writer ??= this.storage.create();
      await this.#writer.commit(keyOf(sha256));
      this.#writer = undefined;
    }
    return { sha256, size: this.received, digests: found };
  }

  /** Leaves no temporary file. After `finish` it does nothing. */
  discard(): Promise<void> {
    const writer = this.#writer;
    this.#writer = undefined;
    return writer?.discard() ?? done;
  }
}
