import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { mkdir, opendir, readdir, rename, rm, stat, statfs, unlink, utimes } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';

import { asError } from '../errors';
import { DiskFlush } from './disk-flush';
import { readChunks } from './file-chunks';
import { FileWriter, type FileCalls } from './file-writer';
import { checkAnyKey, checkKey } from './storage-key';
import type { ListedFile, ReadableWriter, Storage, StorageRoom } from './storage';

/** Temporary files that nobody wrote to for so long were left by a process that died. */
const LEFTOVER_AFTER_MS = 24 * 60 * 60 * 1000;

/**
 * Storage in a folder of the file system: `<root>/artifact/ab/cdef…`. Temporary files lie in `<root>/tmp`, so that the rename
 * into place stays on one file system and is atomic. Several processes may share a root.
 */
export class FileStorage implements Storage {
  readonly #temporary: string;
  readonly #flush: DiskFlush;
  readonly #prefix = `${process.pid}-${randomBytes(6).toString('hex')}`;
  #count = 0;

  private constructor(
    readonly root: string,
    private readonly files: FileCalls,
    syncsFileSystem: boolean,
  ) {
    this.#temporary = join(root, 'tmp');
    this.#flush = new DiskFlush(root, syncsFileSystem);
  }

  /**
   * Opens a storage: makes its folders and removes temporary files which a crash left more than a day ago.
   *
   * @param root - the folder; it is made where it does not exist
   * @param files - the file system's calls, so that a test can let one fail
   */
  static async open(root: string, files: FileCalls = fs): Promise<FileStorage> {
    const folder = resolve(root);
    await mkdir(join(folder, 'tmp'), { recursive: true });
    await removeLeftovers(join(folder, 'tmp'));
    return new FileStorage(folder, files, await DiskFlush.syncsFileSystem(folder));
  }

  /** A storage for one who only looks: no folder is made and nothing is removed. */
  static forReading(root: string): FileStorage {
    return new FileStorage(resolve(root), fs, false);
  }

  create(): ReadableWriter {
    this.#count += 1;
    const temporary = join(this.#temporary, `${this.#prefix}-${this.#count}`);
    return new FileWriter(temporary, this.files, {
      pathOf: (key) => this.#pathOf(key),
      placed: (path) => {
        this.#flush.add(path);
      },
    });
  }

  /** A synchronous call, as it takes some microseconds where the thread pool took 90 of processor time for each file. */
  sizeOf(key: string): Promise<number | undefined> {
    try {
      const found = fs.statSync(this.#pathOf(key), { throwIfNoEntry: false });
      return Promise.resolve(found?.isFile() ? found.size : undefined);
    } catch (error) {
      return isMissing(error) ? Promise.resolve(undefined) : Promise.reject(asError(error));
    }
  }

  async find(key: string): Promise<ListedFile | undefined> {
    const found = fs.statSync(this.#pathOfAny(key), { throwIfNoEntry: false });
    return Promise.resolve(found?.isFile() ? { key, size: found.size, modifiedAt: found.mtime } : undefined);
  }

  read(key: string, range?: { readonly start: number; readonly end: number }): Readable {
    return fs.createReadStream(this.#pathOf(key), { highWaterMark: 256 * 1024, ...range });
  }

  readInTurn(key: string, range: { readonly start: number; readonly end: number }): AsyncIterable<Uint8Array> {
    return readChunks(this.#pathOf(key), range);
  }

  /** A synchronous call, for the same reason. */
  readAll(key: string): Promise<Buffer> {
    try {
      return Promise.resolve(fs.readFileSync(this.#pathOf(key)));
    } catch (error) {
      return Promise.reject(asError(error));
    }
  }

  list(prefix: string): AsyncIterable<ListedFile> {
    return prefix === '' ? filesBelow(this.root, '') : filesBelow(this.#pathOfAny(prefix), `${prefix}/`);
  }

  async move(key: string, to: string): Promise<void> {
    const [from, path] = [this.#pathOf(key), this.#pathOf(to)];
    await mkdir(dirname(path), { recursive: true });
    const now = new Date();
    await utimes(from, now, now)
      .then(() => rename(from, path))
      .catch(ignoreMissing);
  }

  async remove(key: string): Promise<void> {
    await unlink(this.#pathOfAny(key)).catch(ignoreMissing);
  }

  async removeAll(prefix: string): Promise<void> {
    await rm(this.#pathOf(prefix), { recursive: true, force: true });
  }

  async room(): Promise<StorageRoom> {
    const { bavail, blocks, bsize } = await statfs(this.root);
    return { free: bavail * bsize, total: blocks * bsize };
  }

  flush(): Promise<void> {
    return this.#flush.flush();
  }

  /** @throws {@link InvalidStorageKey} */
  #pathOf(key: string): string {
    return `${this.root}/${checkKey(key)}`;
  }

  /** Also of what is not put in place. @throws {@link InvalidStorageKey} */
  #pathOfAny(key: string): string {
    return `${this.root}/${checkAnyKey(key)}`;
  }
}

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** Entry by entry, as a folder may have millions; each is looked at by a synchronous call, for the same reason as above. */
async function* filesBelow(folder: string, prefix: string): AsyncGenerator<ListedFile> {
  const entries = await opendir(folder, { bufferSize: 256 }).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
  if (!entries) return;
  for await (const { name } of entries) {
    // The file system's own, where the root is one's root: most users may not even look into it.
    if (prefix === '' && name === 'lost+found') continue;
    const found = fs.statSync(`${folder}/${name}`, { throwIfNoEntry: false });
    if (found?.isDirectory()) yield* filesBelow(`${folder}/${name}`, `${prefix}${name}/`);
    else if (found) yield { key: prefix + name, size: found.size, modifiedAt: found.mtime };
  }
}

/** Removes temporary files that nobody wrote to for a day. */
export async function removeLeftovers(folder: string): Promise<void> {
  const before = Date.now() - LEFTOVER_AFTER_MS;
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    // Another process that shares the root may remove it first.
    const found = await stat(path).catch(() => undefined);
    if (found && found.mtimeMs < before) await rm(path, { force: true });
  }
}
