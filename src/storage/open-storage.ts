import { existsSync } from 'node:fs';
import { join } from 'node:path';

import type { Settings } from '../settings';
import { FileStorage } from './file-storage';
import type { Storage } from './storage';

type Named = Pick<Settings, 'storage' | 'dataDir'>;

/** Opens the storage that the settings name. What S3 needs is loaded only for it. @throws {@link StorageError} */
export async function openStorage({ storage, dataDir }: Named): Promise<Storage> {
  if (storage.kind === 'file') return FileStorage.open(storage.root);
  const { S3Storage } = await import('./s3-storage.js');
  return S3Storage.open(storage, join(dataDir, 'spool'));
}

/** The storage for one who only looks: no folder is made and nothing is removed. */
export async function openStorageForReading({ storage }: Pick<Named, 'storage'>): Promise<Storage> {
  if (storage.kind === 'file') return FileStorage.forReading(storage.root);
  const { S3Storage } = await import('./s3-storage.js');
  return S3Storage.forReading(storage);
}

/** Whether there is something to look at: a machine that runs no worker may lack the folder. A store is asked when it is used. */
export function isStorageAtHand({ storage }: Pick<Named, 'storage'>): boolean {
  return storage.kind === 's3' || existsSync(storage.root);
}
