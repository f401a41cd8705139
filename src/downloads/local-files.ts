import { constants } from 'node:fs';
import { open, realpath, type FileHandle } from 'node:fs/promises';
import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';

import { RefusedUrl, UnreadableFile } from './download-error';
import type { RemoteResponse } from './remote-client';

const CHUNK_BYTES = 128 * 1024;

/** Reads `file://` urls below the allowed folders, and nothing else of the machine. */
export class LocalFiles {
  constructor(private readonly allowedFolders: readonly string[]) {}

  /**
   * Opens a file. The answer looks like HTTP's 200.
   *
   * @throws {@link RefusedUrl} where it lies, or links, outside the allowed folders
   * @throws {@link UnreadableFile}
   */
  async open(url: URL): Promise<RemoteResponse> {
    const path = await this.#resolve(url);
    const file = await openRegular(path, url.href);
    try {
      const found = await file.stat();
      if (!found.isFile()) throw new UnreadableFile(url.href, 'it is no regular file');
      const headers = { 'content-length': String(found.size), 'last-modified': found.mtime.toUTCString() };
      const body = readChunks(file, url.href);
      return { url: url.href, status: 200, headers, credentialsWithheld: false, body, discard: () => file.close() };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The file itself, all links followed. Whether a file outside the allowed folders exists is not told. */
  async #resolve(url: URL): Promise<string> {
    const named = pathOf(url);
    const folders = await Promise.all(this.allowedFolders.map((folder) => realpath(folder).catch(() => folder)));
    try {
      const path = await realpath(named);
      if (isBelow(path, folders)) return path;
    } catch (error) {
      if (isBelow(named, [...folders, ...this.allowedFolders])) throw unreadable(url.href, error);
    }
    const allowed = this.allowedFolders.join(', ') || 'none';
    throw new RefusedUrl(
      url.href,
      'it is not, or links to what is not, below an allowed folder',
      `a file below a folder of PENSTOCK_ALLOWED_FILE_PATHS (${allowed})`,
    );
  }
}

function pathOf(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (error) {
    throw new RefusedUrl(url.href, `it names no local file (${(error as Error).message})`, 'file:///path');
  }
}

function isBelow(path: string, folders: readonly string[]): boolean {
  return folders.some((folder) => path.startsWith(folder.endsWith(sep) ? folder : folder + sep));
}

async function* readChunks(file: FileHandle, url: string): AsyncGenerator<Buffer, void> {
  try {
    for (;;) {
      // What was given out is the reader's: it may keep it, so each chunk has a buffer of its own.
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafeSlow(CHUNK_BYTES), 0, CHUNK_BYTES);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    throw unreadable(url, error);
  } finally {
    await file.close();
  }
}

/** Without waiting for a pipe's other end, and without following a link that was put there meanwhile. */
async function openRegular(path: string, url: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (error) {
    throw unreadable(url, error);
  }
}

function unreadable(url: string, thrown: unknown): UnreadableFile {
  const { code, message } = thrown as NodeJS.ErrnoException;
  const reason = code === 'ENOENT' ? 'there is none' : message;
  return new UnreadableFile(url, reason, thrown);
}
