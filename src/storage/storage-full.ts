import { PenstockError } from '../errors';

/** No room is left where artifacts lie, or the quota is used up. Nothing partial stays under a final name. */
export class StorageFull extends PenstockError {
  override readonly transient = true;

  /**
   * @param folder - where the file was to be written
   * @param bytes - what was to be written when it failed
   */
  constructor(folder: string, bytes: number, cause: NodeJS.ErrnoException) {
    const what = cause.code === 'EDQUOT' ? 'The quota is used up' : 'No space is left';
    super(
      `${what} in ${folder}: ${bytes} bytes could not be written (${cause.code ?? cause.message}). ` +
        'Free space there or give it a larger disk, and run the same command again: what was stored is kept.',
      { path: folder, bytes, code: cause.code },
      { cause },
    );
  }
}

/** Says `StorageFull` where the system says that it has no room; any other error stays what it is. */
export function asStorageError(thrown: unknown, folder: string, bytes: number): unknown {
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code;
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? new StorageFull(folder, bytes, thrown as NodeJS.ErrnoException)
    : thrown;
}
