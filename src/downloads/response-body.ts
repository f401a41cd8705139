import type { Dispatcher } from 'undici';

/** Bytes that may wait to be read before the server is held back. */
const HELD_BYTES = 512 * 1024;
/** What is read of a body that nobody wants, and for how long, so that its connection can be used again. */
const DRAINED_BYTES = 64 * 1024;
const DRAINED_MS = 500;

type Headers = Readonly<NodeJS.Dict<string | string[]>>;

/** The beginning of a response. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: Headers;
}

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

const end: IteratorResult<Buffer, undefined> = { done: true, value: undefined };

/**
 * One HTTP exchange: gives the head once it is there, then the body, chunk by chunk, to one reader.
 *
 * Written straight to undici's dispatch, as a web or Node stream for each of many small files costs more than the files.
 */
export class ResponseBody implements Dispatcher.DispatchHandler, AsyncIterableIterator<Buffer, undefined> {
  readonly head: Promise<ResponseHead>;
  #head!: Waiting<ResponseHead>;
  #controller: Dispatcher.DispatchController | undefined;
  #chunks: Buffer[] = [];
  #held = 0;
  #reader: Waiting<IteratorResult<Buffer, undefined>> | undefined;
  #ended = false;
  #error: Error | undefined;

  /**
   * @param describe - makes an error that a person understands of what undici throws
   * @param onEnd - is called once, when the exchange is over, however it ends
   */
  constructor(
    private readonly describe: (error: Error) => Error,
    private readonly onEnd: () => void,
  ) {
    this.head = new Promise<ResponseHead>((resolve, reject) => {
      this.#head = { resolve, reject };
    });
    // Who aborts before the head came need not look at it as well.
    this.head.catch(() => undefined);
  }

  /** Ends the exchange now, also while it is still being connected; who reads gets the error. */
  abort(error: Error): void {
    if (this.#ended) return;
    this.#chunks = [];
    this.#end(error);
    this.#controller?.abort(error);
  }

  /** Reads what little may be left of a body that nobody wants, else closes the connection. */
  async drain(): Promise<void> {
    const { headers } = await this.head;
    const tooLong = Number(headers['content-length'] ?? 0) > DRAINED_BYTES;
    const giveUp = () => {
      this.abort(new Error('The body is not wanted'));
    };
    if (tooLong) giveUp();
    const timer = setTimeout(giveUp, DRAINED_MS);
    let drained = 0;
    try {
      for await (const chunk of this) {
        drained += chunk.length;
        if (drained > DRAINED_BYTES) break;
      }
    } catch {
      // It was not wanted.
    } finally {
      clearTimeout(timer);
    }
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ended) controller.abort(this.#error ?? new Error('The request is not wanted any more'));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Headers): void {
    if (status >= 200) this.#head.resolve({ status, headers });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#ended) return;
    if (this.#reader) {
      const reader = this.#reader;
      this.#reader = undefined;
      reader.resolve({ done: false, value: chunk });
      return;
    }
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    if (this.#held > HELD_BYTES) controller.pause();
  }

  onResponseEnd(): void {
    if (!this.#ended) this.#end(undefined);
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (!this.#ended) this.#end(this.describe(error));
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    const chunk = this.#chunks.shift();
    if (chunk) {
      this.#held -= chunk.length;
      if (this.#chunks.length === 0 && this.#controller?.paused) this.#controller.resume();
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#error) return Promise.reject(this.#error);
    if (this.#ended) return Promise.resolve(end);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  /** The reader wants no more. */
  return(): Promise<IteratorResult<Buffer, undefined>> {
    this.abort(new Error('The rest of the body is not wanted'));
    return Promise.resolve(end);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #end(error: Error | undefined): void {
    this.#ended = true;
    this.#error = error;
    if (error) {
      // What came before a break is still read, and counts where the download goes on.
      this.#head.reject(error);
      this.#reader?.reject(error);
    } else {
      this.#reader?.resolve(end);
    }
    this.#reader = undefined;
    this.onEnd();
  }
}
