import { untilAborted } from '../downloads/abort';
import { DownloadError } from '../downloads/download-error';
import type { FileSink, StorageWriter } from '../storage/storage';
import type { ByteRange } from './found-file';
import { HELD_BACK_BYTES } from './held-back';

/** Bytes that wait for the reader, besides those that are held back, before upstream is held back. */
const AHEAD_BYTES = 128 * 1024;

/** Milliseconds that a reader may keep upstream waiting, in all, before it counts as slow. */
const SLOW_MS = 1_000;

/** Another body would have to begin, and the reader has had bytes of the last one. */
export class BrokenOff extends DownloadError {
  readonly retried = false;
  override readonly transient = true;

  constructor() {
    super('the file', 'the body broke off, and its reader cannot begin anew');
  }
}

/**
 * Hands what a download writes to one reader, at the reader's pace, and keeps nothing. The last bytes are given out once the download
 * has found the body right.
 */
export class PassThrough {
  /** Bytes that the reader has had. */
  given = 0;
  /** When the download began to wait for the reader, by `performance.now()`; absent while it does not. */
  standsSince: number | undefined;
  /** Milliseconds for which it had waited before. */
  #waited = 0;
  #chunks: Uint8Array[] = [];
  #waiting = 0;
  /** Bytes that have come after those that the reader wants. */
  #beyond = 0;
  #state: 'open' | 'whole' | { readonly error: Error } = 'open';
  #wake: (() => void) | undefined;
  #drained: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;

  readonly #wanted: ByteRange;

  /**
   * @param wanted - what the reader wants of the file; absent: all
   * @param onSlow - called whenever a reader that is slow holds the download back
   */
  constructor(
    wanted: ByteRange | undefined,
    private readonly onSlow: () => void,
  ) {
    this.#wanted = wanted ?? { start: 0, end: Infinity };
  }

  /** Whether the reader has kept the download waiting for long. */
  get isSlow(): boolean {
    const stands = this.standsSince === undefined ? 0 : performance.now() - this.standsSince;
    return this.#waited + stands >= SLOW_MS;
  }

  /** Where a download writes to, of which the first byte is at this offset of the file. */
  from(first: number): FileSink {
    return { create: () => this.#create(first) };
  }

  /** The reader gets this error, once it has read what may be given out before. */
  fail(error: Error): void {
    if (this.#state === 'open') this.#become({ error });
    this.#drained?.reject(error);
  }

  /** @throws what it has failed with, the signal's reason */
  async *read(signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    while (this.given <= this.#wanted.end - this.#wanted.start) {
      const bytes = this.#take();
      if (bytes) {
        this.given += bytes.byteLength;
        yield bytes;
      } else if (this.#state === 'whole') {
        return;
      } else if (typeof this.#state === 'object') {
        throw this.#state.error;
      } else {
        const woken = new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        await untilAborted(woken, signal);
      }
    }
  }

  #create(first: number): StorageWriter {
    if (this.given > 0) throw new BrokenOff();
    this.#clear();
    const { start, end } = this.#wanted;
    let position = first;
    return {
      write: (chunk) => {
        const from = Math.max(0, start - position);
        const bytes = chunk.subarray(from, Math.max(from, end + 1 - position));
        position += chunk.byteLength;
        this.#beyond = Math.max(0, position - end - 1);
        return this.#add(bytes);
      },
      commit: () => {
        this.#become('whole');
        return Promise.resolve();
      },
      discard: () => {
        if (this.#state === 'open') this.#clear();
        return Promise.resolve();
      },
    };
  }

  #add(bytes: Uint8Array): Promise<void> {
    if (typeof this.#state === 'object') return Promise.reject(this.#state.error);
    if (bytes.byteLength > 0) this.#chunks.push(bytes);
    this.#waiting += bytes.byteLength;
    this.#wake?.();
    if (this.#waiting <= HELD_BACK_BYTES + AHEAD_BYTES) return Promise.resolve();
    const since = (this.standsSince = performance.now());
    const slow = setTimeout(this.onSlow, SLOW_MS - this.#waited);
    return new Promise<void>((resolve, reject) => {
      this.#drained = { resolve, reject };
    }).finally(() => {
      clearTimeout(slow);
      this.#waited += performance.now() - since;
      this.standsSince = undefined;
    });
  }

  #take(): Uint8Array | undefined {
    const held = this.#state === 'whole' ? 0 : Math.max(0, HELD_BACK_BYTES - this.#beyond);
    const free = this.#waiting - held;
    const [chunk] = this.#chunks;
    if (!chunk || free <= 0) return undefined;
    const bytes = chunk.subarray(0, free);
    if (bytes.byteLength === chunk.byteLength) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(free);
    this.#waiting -= bytes.byteLength;
    if (this.#waiting <= HELD_BACK_BYTES + AHEAD_BYTES) {
      this.#drained?.resolve();
      this.#drained = undefined;
    }
    return bytes;
  }

  #become(state: 'whole' | { readonly error: Error }): void {
    this.#state = state;
    this.#wake?.();
  }

  #clear(): void {
    this.#chunks = [];
    this.#waiting = 0;
    this.#beyond = 0;
  }
}
