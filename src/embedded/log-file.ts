import { copyFileSync, openSync, readSync, renameSync, statSync, truncateSync, closeSync } from 'node:fs';

/** A log file and the one before it hold about this many bytes each. */
const LIMIT_BYTES = 10 * 1024 * 1024;
const CHECK_EVERY_MS = 15_000;

/**
 * The log of a server that writes to it on its own, so that it goes on when Penstock is killed. It is kept below about
 * 20 MiB: what is over the limit moves to `<path>.1`.
 */
export class LogFile {
  /** What the running server wrote starts here. */
  private start = 0;

  constructor(readonly path: string) {}

  /** Opens the log for appending and returns its file descriptor, which the caller closes. */
  open(): number {
    if (size(this.path) > LIMIT_BYTES) renameSync(this.path, `${this.path}.1`);
    this.start = size(this.path);
    return openSync(this.path, 'a', 0o600);
  }

  /** Keeps the log bounded until the returned function is called. */
  bound(limitBytes = LIMIT_BYTES, everyMs = CHECK_EVERY_MS): () => void {
    const timer = setInterval(() => {
      if (size(this.path) <= limitBytes) return;
      // The server has the file open for appending, so it goes on at the new end, which is the beginning.
      copyFileSync(this.path, `${this.path}.1`);
      truncateSync(this.path);
      this.start = 0;
    }, everyMs).unref();
    return () => {
      clearInterval(timer);
    };
  }

  /** The last lines that the running server wrote, for an error message. */
  tail(lines = 12): string {
    const end = size(this.path);
    const length = Math.min(end - this.start, 16 * 1024);
    if (length <= 0) return '';
    const buffer = Buffer.alloc(length);
    const file = openSync(this.path, 'r');
    try {
      readSync(file, buffer, 0, length, end - length);
    } finally {
      closeSync(file);
    }
    return buffer.toString().trimEnd().split('\n').slice(-lines).join('\n');
  }
}

function size(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
