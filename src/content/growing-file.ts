import { setImmediate } from 'node:timers/promises';

import { untilAborted } from '../downloads/abort';
import { PenstockError } from '../errors';
import type { FileSink, ReadableWriter, StorageWriter } from '../storage/storage';
import type { ByteRange } from './found-file';
import { HELD_BACK_BYTES } from './held-back';
import { SharedBlocks } from './shared-blocks';

/** Upstream's file became another one while it was read: what was given out of it is worth nothing. */
export class FileChanged extends PenstockError {
  override readonly transient = true;

  constructor(path: string) {
    super(`"${path}" is another file upstream than it was when reading began; read it again.`, { path });
  }
}

/** What came of one body. */
interface Body {
  readonly blocks: SharedBlocks;
  written: number;
}

/** The bytes of a body that broke off, of which readers have had those before `given`. */
interface Former extends Body {
  readonly given: number;
}

type State = 'growing' | 'whole' | { readonly error: Error };

/**
 * A file that is read by any number of readers, each at its own pace, while a download writes it into the storage.
 *
 * The download writes into it as into the storage, and knows of no readers:
 * - `create` begins a body, `write` lets it grow; readers are given all but its last bytes.
 * - `commit` comes once it was found right: the file is *whole*, and readers get the rest.
 * - `discard` throws a body away. The next one is compared with what readers were given. Where it is the same they go on, else
 *   those fail who have had bytes.
 * - `fail` is the end where no body came to be whole.
 */
export class GrowingFile implements FileSink {
  #state: State = 'growing';
  #body: Body | undefined;
  #former: Former | undefined;
  /** One higher with each body that is not the same as the one before. */
  #edition = 0;
  /** How far readers have come in this edition. */
  #given = 0;
  #change = newChange();
  #closed = false;

  constructor(
    private readonly path: string,
    private readonly storage: { create(): ReadableWriter },
  ) {}

  create(): StorageWriter {
    const writer = this.storage.create();
    const body = (this.#body = { blocks: new SharedBlocks(writer.readBack()), written: 0 });
    return {
      write: async (chunk) => {
        await writer.write(chunk);
        if (this.#former) await this.#compare(this.#former, body.written, chunk);
        body.written += chunk.byteLength;
        this.#changed();
      },
      commit: async (key) => {
        // It ends before the point that readers have come to.
        if (this.#former) this.#beginEdition(this.#former);
        this.#become('whole');
        // Readers first: a file system that is busy may keep the process waiting.
        await setImmediate();
        await writer.commit(key);
      },
      discard: async () => {
        if (this.#state !== 'whole') this.#forget(body);
        await writer.discard();
      },
    };
  }

  /** Bytes that readers can have now. */
  get readable(): number {
    const written = this.#body?.written ?? 0;
    return this.#state === 'whole' ? written : Math.max(0, written - HELD_BACK_BYTES);
  }

  /** Readers get this error from now on. */
  fail(error: Error): void {
    if (this.#state === 'growing') this.#become({ error });
  }

  /** Frees what is kept for reading. Nobody reads any more, and the download has ended. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#body?.blocks.close();
    this.#former?.blocks.close();
  }

  /**
   * Reads as far as the bytes have come, and waits for more.
   *
   * @throws {@link FileChanged}, what it has failed with, the signal's reason
   */
  async *read(range: ByteRange | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    const first = range?.start ?? 0;
    const end = range ? range.end + 1 : Infinity;
    let edition = this.#edition;
    for (let position = first; position < end;) {
      if (edition !== this.#edition && position > first) throw new FileChanged(this.path);
      edition = this.#edition;
      if (typeof this.#state === 'object') throw this.#state.error;
      const body = this.#body;
      const most = Math.min(this.readable, end) - position;
      if (body && most > 0) {
        const bytes = await body.blocks.read(position, most, body.written).catch((error: unknown) => {
          if (body === this.#body) throw error;
          return undefined;
        });
        signal.throwIfAborted();
        // Thrown away meanwhile: nobody knows whether the next body is the same.
        if (!bytes || body !== this.#body) continue;
        position += bytes.byteLength;
        this.#given = Math.max(this.#given, position);
        yield bytes;
      } else if (this.#state === 'whole') {
        return;
      } else {
        await untilAborted(this.#change.promise, signal);
      }
    }
  }

  /** Keeps a body that was thrown away for as long as the next one has to be compared with it. */
  #forget(body: Body): void {
    if (this.#body !== body) return;
    this.#body = undefined;
    if (this.#given > 0 && !this.#former) this.#former = { ...body, given: this.#given };
    else body.blocks.close();
  }

  async #compare(former: Former, position: number, chunk: Uint8Array): Promise<void> {
    const end = Math.min(chunk.byteLength, former.given - position);
    for (let compared = 0; compared < end;) {
      const before = await former.blocks.read(position + compared, end - compared, former.written);
      if (Buffer.compare(before, chunk.subarray(compared, compared + before.byteLength)) !== 0) {
        this.#beginEdition(former);
        return;
      }
      compared += before.byteLength;
    }
    if (position + chunk.byteLength >= former.given) this.#endComparison(former);
  }

  #beginEdition(former: Former): void {
    this.#edition += 1;
    this.#given = 0;
    this.#endComparison(former);
  }

  #endComparison(former: Former): void {
    this.#former = undefined;
    former.blocks.close();
  }

  #become(state: State): void {
    this.#state = state;
    this.#changed();
  }

  #changed(): void {
    const { resolve } = this.#change;
    this.#change = newChange();
    resolve();
  }
}

function newChange(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((resolved) => {
    resolve = resolved;
  });
  return { promise, resolve };
}
