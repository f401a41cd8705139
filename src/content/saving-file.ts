import type { ReadableWriter } from '../storage/storage';
import type { ByteRange } from './found-file';
import { GrowingFile } from './growing-file';

/** Bytes that a reader rather waits for than asks upstream for its part alone. */
const NEAR_BYTES = 1024 * 1024;

/**
 * One file that is being saved, and all who read it meanwhile. It goes on without readers, and stays readable until the last one
 * has gone.
 */
export class SavingFile {
  readonly file: GrowingFile;
  readonly #abort = new AbortController();
  #readers = 0;
  #saved: Promise<void> | undefined;
  #ended = false;

  /** @param onDeserted - called when the last reader has gone before the end */
  constructor(
    path: string,
    storage: { create(): ReadableWriter },
    private readonly onDeserted: () => void,
  ) {
    this.file = new GrowingFile(path, storage);
  }

  /** Whether nobody reads it. */
  get deserted(): boolean {
    return this.#readers === 0;
  }

  /**
   * Begins to save.
   *
   * @param save - writes the file; when it throws, readers get the error
   */
  start(save: (file: GrowingFile, signal: AbortSignal) => Promise<void>): void {
    this.#saved = save(this.file, this.#abort.signal)
      .catch((error: unknown) => {
        this.file.fail(error as Error);
      })
      .then(() => {
        this.#ended = true;
        this.#closeUnread();
      });
  }

  /** Gives it up. */
  abort(reason: Error): void {
    this.#abort.abort(reason);
  }

  /** Returns once nothing of it is under way. */
  async ended(): Promise<void> {
    await this.#saved;
  }

  /** Whether a part is there, or soon will be. */
  isNear({ start }: ByteRange): boolean {
    return start <= this.file.readable + NEAR_BYTES;
  }

  /** Reads it; who calls has to read to the end, or to leave. */
  async *read(range: ByteRange | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    this.#readers += 1;
    try {
      yield* this.file.read(range, signal);
    } finally {
      this.#readers -= 1;
      if (this.#readers === 0 && !this.#ended) this.onDeserted();
      this.#closeUnread();
    }
  }

  #closeUnread(): void {
    if (this.#ended && this.#readers === 0) this.file.close();
  }
}
