import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';

import { artifactKey } from './storage';
import type { Storage } from './storage';

/**
 * A file that lies in the storage under its digest and has it. It is read, as no row vouches for it: the machine may have lost
 * power before its bytes were on the disk.
 *
 * @param size - bytes that it has to have, where that is known
 */
export async function findWholeFile(
  storage: Pick<Storage, 'sizeOf' | 'read'>,
  { sha256 }: { readonly sha256?: string },
  size: number | undefined,
  signal: AbortSignal,
): Promise<{ readonly sha256: string; readonly size: number } | undefined> {
  if (sha256 === undefined) return undefined;
  const stored = await storage.sizeOf(artifactKey(sha256));
  if (stored === undefined || (size !== undefined && size !== stored)) return undefined;
  const hash = createHash('sha256');
  await pipeline(storage.read(artifactKey(sha256)), hash, { signal });
  return hash.digest('hex') === sha256 ? { sha256, size: stored } : undefined;
}
