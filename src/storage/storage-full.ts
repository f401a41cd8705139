import { PenstockError } from '../errors';
import { StorageError } from './storage-error';

const advice = 'Free space there or give it a larger disk: what was stored is kept.';

/** No room is left where artifacts lie, or the quota is used up. Nothing partial stays under a final name. */
export class StorageFull extends StorageError {
  override readonly transient = true;
}

/** What is to be downloaded will not fit where artifacts lie; nothing of it was begun. */
export class NotEnoughRoom extends PenstockError {
  override readonly transient = true;
}

/**
 * Says `StorageFull` where the system says that it has no room; any other error stays what it is.
 *
 * @param folder - where the file was to be written
 * @param bytes - what was to be written when it failed
 */
export function asStorageError(thrown: unknown, folder: string, bytes: number): unknown {
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return thrown;
  const what = code === 'EDQUOT' ? 'The quota is used up' : 'No space is left';
  return new StorageFull(
    `${what} in ${folder}: ${bytes} bytes could not be written (${code}). ${advice}`,
    { path: folder, bytes, code },
    { cause: thrown },
  );
}

/** What lacks room, in words: `expected` is to be downloaded, `found` is there. Both in bytes. */
export function describeLack(expected: number, found: number): string {
  return `${inMegabytes(expected)} are to be downloaded, and the storage has room for ${inMegabytes(found)}. ${advice}`;
}

function inMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
