import * as fs from 'node:fs';

import { FileStorage } from '../../src/storage/file-storage';
import type { StorageRoom } from '../../src/storage/storage';

/** A storage whose disk is as full as a test says; all else is real. */
export class CrampedStorage {
  room: StorageRoom = { free: 1e12, total: 1e12 };
  /** Writes fail from now on. */
  full = false;

  readonly open = async (folder: string): Promise<FileStorage> => {
    const openSync: typeof fs.openSync = (...args) => {
      if (!this.full) return fs.openSync(...args);
      throw Object.assign(new Error('ENOSPC: no space left on device, open'), { code: 'ENOSPC' });
    };
    const storage = await FileStorage.open(folder, { ...fs, openSync });
    storage.room = () => Promise.resolve(this.room);
    return storage;
  };
}
