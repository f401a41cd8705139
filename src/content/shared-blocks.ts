import type { WrittenBytes } from '../storage/storage';

const BLOCK_BYTES = 64 * 1024;
/** Blocks that are kept, 4 MiB of each file: readers that are not far apart read the disk once. */
const MOST_BLOCKS = 64;

interface Tail {
  readonly position: number;
  readonly written: number;
  readonly bytes: Promise<Uint8Array>;
}

/** Reads a file that is being written for many readers at once, who share what they read. */
export class SharedBlocks {
  /** The one that was used last at the end. */
  readonly #blocks = new Map<number, Promise<Uint8Array>>();
  /** What was read last of the block that is not complete yet: who has all before it reads it, too. */
  #tail: Tail | undefined;
  #reading = 0;
  #closed = false;

  constructor(private readonly bytes: WrittenBytes) {}

  /**
   * Up to `length` bytes, at least one.
   *
   * @param written - bytes of the file that can be read
   */
  async read(position: number, length: number, written: number): Promise<Uint8Array> {
    const index = Math.floor(position / BLOCK_BYTES);
    const start = index * BLOCK_BYTES;
    if (start + BLOCK_BYTES > written) return (await this.#readTail(position, written)).subarray(0, length);
    const block = await this.#block(index, start);
    return block.subarray(position - start, position - start + length);
  }

  /** Frees the file once what is being read has been read. */
  close(): void {
    this.#closed = true;
    this.#blocks.clear();
    this.#tail = undefined;
    this.#closeUnread();
  }

  #readTail(position: number, written: number): Promise<Uint8Array> {
    if (this.#tail?.position !== position || this.#tail.written !== written)
      this.#tail = { position, written, bytes: this.#read(position, written - position) };
    return this.#tail.bytes;
  }

  #block(index: number, start: number): Promise<Uint8Array> {
    const known = this.#blocks.get(index);
    const block = known ?? this.#fill(start);
    // What could not be read is read again by who comes next.
    if (!known) block.catch(() => this.#blocks.get(index) === block && this.#blocks.delete(index));
    this.#blocks.delete(index);
    this.#blocks.set(index, block);
    if (this.#blocks.size > MOST_BLOCKS) {
      const [oldest] = this.#blocks.keys();
      if (oldest !== undefined) this.#blocks.delete(oldest);
    }
    return block;
  }

  async #fill(start: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (let filled = 0; filled < BLOCK_BYTES; filled += pieces.at(-1)?.byteLength ?? 0)
      pieces.push(await this.#read(start + filled, BLOCK_BYTES - filled));
    const [first] = pieces;
    return first && pieces.length === 1 ? first : Buffer.concat(pieces);
  }

  async #read(position: number, length: number): Promise<Uint8Array> {
    if (this.#closed) throw new TypeError('The file was closed while it was read.');
    this.#reading += 1;
    try {
      return await this.bytes.read(position, length);
    } finally {
      this.#reading -= 1;
      this.#closeUnread();
    }
  }

  #closeUnread(): void {
    if (this.#closed && this.#reading === 0) this.bytes.close();
  }
}
