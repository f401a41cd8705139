import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';

import { digestNames } from '../downloads/digests';
import type { DigestName } from '../downloads/digests';
import { asError } from '../errors';
import { artifactKey } from '../storage/storage';
import { StorageError } from '../storage/storage-error';
import type { CheckedStorage, ProblemKind } from './problem';

/** An artifact, as its row says that its file is. */
export type ArtifactRow = Readonly<Record<DigestName, string | null>> & {
  readonly key: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
};

/** What is wrong with an artifact's file. */
export interface Fault {
  readonly artifact: ArtifactRow;
  readonly kind: Extract<ProblemKind, `artifactFile${string}`>;
  readonly expected: string;
  readonly found: string;
}

/** How closely a file is looked at. */
interface Look {
  /** Whether its digests are compared too. */
  readonly deep: boolean;
  readonly signal: AbortSignal;
}

/**
 * Looks whether an artifact's file lies in the storage with its size, and where that is asked for, with all of its digests.
 *
 * @param key - where to look, if it is not where the artifact's file belongs
 */
export async function findFault(
  storage: CheckedStorage,
  artifact: ArtifactRow,
  { deep, signal }: Look,
  key = artifactKey(artifact.sha256),
): Promise<Fault | undefined> {
  try {
    const size = await storage.sizeOf(key);
    const expected = `${artifact.size} bytes`;
    if (size === undefined) return { artifact, kind: 'artifactFileMissing', expected, found: 'no file' };
    if (size !== artifact.size) return { artifact, kind: 'artifactFileSize', expected, found: `${size} bytes` };
    return deep ? await findOtherDigest(storage, artifact, key, signal) : undefined;
  } catch (error) {
    signal.throwIfAborted();
    // Not a matter of this file.
    if (error instanceof StorageError) throw error;
    const { message } = asError(error);
    return { artifact, kind: 'artifactFileUnreadable', expected: 'a file that can be read', found: message };
  }
}

async function findOtherDigest(
  storage: CheckedStorage,
  artifact: ArtifactRow,
  key: string,
  signal: AbortSignal,
): Promise<Fault | undefined> {
  const names = digestNames.filter((name) => artifact[name] !== null);
  const hashes = names.map((name) => createHash(name));
  await pipeline(
    storage.read(key),
    async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) for (const hash of hashes) hash.update(chunk);
    },
    { signal },
  );
  const digests = hashes.map((hash) => hash.digest('hex'));
  const wrong = names.findIndex((name, index) => artifact[name] !== digests[index]);
  const name = names[wrong];
  if (name === undefined) return undefined;
  return {
    artifact,
    kind: 'artifactFileDigest',
    expected: `${name} ${artifact[name] ?? ''}`,
    found: `${name} ${digests[wrong] ?? ''}`,
  };
}
