import { once } from 'node:events';

import type { StoredFile } from '../downloads/download-artifact';
import { artifactKey } from '../storage/storage';
import type { Storage } from '../storage/storage';
import type { ByteRange, ReadableFile } from './found-file';

/** What should be stored is not, or is another file. */
export class StoredFileLost extends Error {}

/** Bytes: up to this a file is read whole, which costs less than a stream. */
const small = 64 * 1024;

/**
 * A file as it lies in the storage; its `open` throws {@link StoredFileLost} where it is not there, and what the storage throws
 * where nobody can tell.
 */
export function openStored(
  storage: Pick<Storage, 'read' | 'readAll' | 'readInTurn'>,
  { sha256, size }: StoredFile,
): ReadableFile {
  const key = artifactKey(sha256);
  return {
    size,
    sha256,
    inParts: true,
    open: async (range) => {
      try {
        return await (size <= small ? readSmall(storage, key, size, range) : readLarge(storage, key, size, range));
      } catch (error) {
        throw isMissing(error) ? new StoredFileLost(`${key} is not there`, { cause: error }) : error;
      }
    },
  };
}

async function readSmall(
  storage: Pick<Storage, 'readAll'>,
  key: string,
  size: number,
  range: ByteRange | undefined,
): Promise<AsyncIterable<Uint8Array>> {
  const bytes = await storage.readAll(key);
  if (bytes.length !== size) throw new StoredFileLost(`${key} has ${bytes.length} bytes instead of ${size}`);
  return single(range ? bytes.subarray(range.start, range.end + 1) : bytes);
}

async function readLarge(
  storage: Pick<Storage, 'read' | 'readInTurn'>,
  key: string,
  size: number,
  range: ByteRange = { start: 0, end: size - 1 },
): Promise<AsyncIterable<Uint8Array>> {
  // From here on the file stays open, whatever becomes of its name.
  if (storage.readInTurn) return storage.readInTurn(key, range);
  const stream = storage.read(key, range);
  await once(stream, 'readable');
  return stream;
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

// eslint-disable-next-line @typescript-eslint/require-await -- what is at hand is iterated over as what has to be waited for
async function* single(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
