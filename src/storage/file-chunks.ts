import { close, openSync, read } from 'node:fs';
import { promisify } from 'node:util';

const readInto = promisify(read);

/** Bytes of a chunk: the larger, the fewer hand-overs, but each reader that is slow holds two of them. */
const [smallest, largest] = [16 * 1024, 512 * 1024];
/** Bytes that all readers hold together, besides the smallest chunks: each takes a part of what those before it have left. */
const budget = 32 * 1024 * 1024;
const part = budget / largest;
let held = 0;

/**
 * Reads a part of a file, one chunk while the other is in use: of two buffers, so that a chunk is overwritten once the next one
 * is asked for. The file is open when this returns, and closed when the reading ends or is given up; a reader has to begin.
 */
export function readChunks(path: string, { start, end }: { start: number; end: number }): AsyncGenerator<Uint8Array> {
  return chunksOf(openSync(path, 'r'), start, end + 1);
}

async function* chunksOf(fd: number, start: number, end: number): AsyncGenerator<Uint8Array> {
  const share = Math.max(Math.floor((budget - held) / part), smallest);
  const size = Math.min(share, end - start);
  let filled = Buffer.allocUnsafeSlow(size);
  let idle = Buffer.allocUnsafeSlow(Math.min(size, end - start - size));
  const taken = filled.length + idle.length;
  held += taken;
  const begin = (buffer: Buffer, position: number) => {
    const reading = readInto(fd, buffer, 0, Math.min(buffer.length, end - position), position);
    // It may fail while nobody waits for it yet.
    reading.catch(() => undefined);
    return reading;
  };
  let position = start;
  let next = begin(filled, position);
  try {
    while (position < end) {
      const { bytesRead } = await next;
      if (bytesRead === 0) return;
      position += bytesRead;
      if (position < end) next = begin(idle, position);
      yield filled.subarray(0, bytesRead);
      [filled, idle] = [idle, filled];
    }
  } finally {
    held -= taken;
    await next.catch(() => undefined);
    close(fd);
  }
}
