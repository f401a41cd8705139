import { LRUCache } from 'lru-cache';

import { downloadArtifact } from '../downloads/download-artifact';
import type { StoredFile } from '../downloads/download-artifact';
import { AttachSoon } from '../fetching/attach-soon';
import { trySources } from '../fetching/try-sources';
import { artifactKey } from '../storage/storage';
import { waitedFor, wantedFrom } from './deferred-file';
import type { DeferredFile, Fetching } from './deferred-file';
import { FileUnavailable } from './errors';
import type { ByteRange } from './found-file';
import type { GrowingFile } from './growing-file';
import { SavingFile } from './saving-file';
import { StorageReserve } from './storage-reserve';

/** Downloads that go on after all their readers have left. */
const MOST_DESERTED = 32;
/** Files of which is known that they were saved just now, and milliseconds: longer than any request takes that did not know. */
const saved = { max: 10_000, ttl: 60_000 };

/** Where failures go that no reader hears of. */
export interface DeferredLog {
  warn(details: object, message: string): void;
}

/** The files that this process is saving now: each is downloaded once for all who read it. */
export class SavingFiles {
  readonly #saving = new Map<string, SavingFile>();
  readonly #saved = new LRUCache<string, StoredFile>(saved);

  readonly #attaching: AttachSoon;
  readonly #reserve: StorageReserve;

  constructor(
    private readonly fetching: Fetching,
    private readonly log: DeferredLog,
  ) {
    this.#reserve = new StorageReserve(fetching.storage);
    this.#attaching = new AttachSoon(fetching.pool, fetching.storage, (error, files) => {
      log.warn({ error, sha256: files.map(({ sha256 }) => sha256) }, 'Files were saved, and will be fetched again');
    });
  }

  /** The download of a file that is under way. */
  get(contentArtifactId: string): SavingFile | undefined {
    return this.#saving.get(contentArtifactId);
  }

  /** Reads a file that was saved just now, when the reader did not know it yet. */
  async readSaved(
    contentArtifactId: string,
    range: ByteRange | undefined,
  ): Promise<AsyncGenerator<Uint8Array, void> | undefined> {
    const { storage } = this.fetching;
    const file = this.#saved.get(contentArtifactId);
    if (!file) return undefined;
    const key = artifactKey(file.sha256);
    return (await storage.sizeOf(key)) === file.size ? fromStorage(storage.read(key, range)) : undefined;
  }

  /** Whether a file is being saved, or the storage has room for it. */
  async canSave({ contentArtifactId, size = 0 }: DeferredFile): Promise<boolean> {
    return this.#saving.has(contentArtifactId) || this.#reserve.hasRoomFor(size);
  }

  /** Reads a file that is being saved, and begins to save it where nobody does. */
  read(file: DeferredFile, range: ByteRange | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    return (this.#saving.get(file.contentArtifactId) ?? this.#begin(file)).read(range, signal);
  }

  /** Gives up all that is under way. */
  async close(): Promise<void> {
    const all = [...this.#saving.values()];
    for (const saving of all) saving.abort(new Error('The process is ending.'));
    await Promise.all(all.map((saving) => saving.ended()));
    await this.#attaching.settled();
  }

  #begin(file: DeferredFile): SavingFile {
    const id = file.contentArtifactId;
    const forget = () => {
      if (this.#saving.get(id) === saving) this.#saving.delete(id);
    };
    const saving: SavingFile = new SavingFile(file.path, this.fetching.storage, () => {
      const deserted = [...this.#saving.values()].filter((each) => each.deserted);
      // A body of no known size may never end.
      if (file.size !== undefined && deserted.length <= MOST_DESERTED) return;
      forget();
      saving.abort(
        new Error('Its readers have left, and it has no known size, or enough others are saved without any.'),
      );
    });
    this.#saving.set(id, saving);
    saving.start(async (growing, signal) => {
      try {
        await this.#save(file, growing, signal);
      } catch (error) {
        const known = signal.aborted || error instanceof FileUnavailable;
        if (!known) this.log.warn({ error, path: file.path }, 'A file could not be saved');
        throw error;
      } finally {
        // Before any reader hears of a failure: who asks then begins anew.
        forget();
      }
    });
    return saving;
  }

  async #save(file: DeferredFile, storage: GrowingFile, signal: AbortSignal): Promise<void> {
    const { fetching } = this;
    const { contentArtifactId } = file;
    const fetched = await trySources(file.sources, fetching, (source, remote) =>
      downloadArtifact(wantedFrom(source, file), {
        ...waitedFor(remote, signal),
        allowWeakDigests: fetching.allowWeakDigests,
        storage: this.#reserve.keep(storage),
        alone: true,
      }),
    );
    if (!('value' in fetched)) throw new FileUnavailable(file.path, fetched.reasons, fetched.retryAfter);
    const { sha256, size, digests } = fetched.value;
    this.#saved.set(contentArtifactId, { sha256, size });
    this.#attaching.add({ contentArtifactId, sha256, size, digests });
  }
}

async function* fromStorage(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  yield* bytes;
}
