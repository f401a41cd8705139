import { findFault } from '../src/consistency/artifact-file';
import type { ArtifactRow, Fault } from '../src/consistency/artifact-file';
import { digestNames } from '../src/downloads/digests';
import { downloadFromSources } from '../src/fetching/download-from-sources';
import type { SourceRemotes } from '../src/fetching/source-remotes';
import type { ArtifactSource } from '../src/repairing/repair';
import { artifactKey, corruptedKey } from '../src/storage/storage';
import type { Storage } from '../src/storage/storage';

/** What mends artifacts. */
export interface Mending {
  readonly storage: Storage;
  readonly remotes: SourceRemotes;
  readonly signal: AbortSignal;
}

/**
 * Downloads an artifact again, from the first source that has it; what lies in its place is replaced in one step. Where nobody
 * has it, a bad file is set aside, so that syncs and readers take it for lost; one that cannot be read stays, as it may be
 * whole, and the disk may be well again.
 *
 * @returns why it could not be mended; `undefined` where it is whole now.
 */
export async function mendArtifact(
  mending: Mending,
  fault: Fault,
  sources: readonly ArtifactSource[],
): Promise<string | undefined> {
  const { storage, remotes, signal } = mending;
  const { artifact, kind, found } = fault;
  const digests = Object.fromEntries(digestNames.flatMap((name) => (artifact[name] ? [[name, artifact[name]]] : [])));
  const wanted = sources.map((source) => ({ ...source, digests, size: artifact.size }));
  const downloaded = await downloadFromSources(wanted, { remotes, storage, signal, alone: true });
  if ('file' in downloaded) return undefined;
  const { reasons } = downloaded;
  if (kind === 'artifactFileUnreadable')
    return [`Its file cannot be read (${found}), and stays.`, ...reasons].join('\n');
  if (await setAside(mending, artifact)) return undefined;
  return reasons.join('\n');
}

/** Returns whether the file is whole after all: a sync may have replaced it while it was looked for. */
async function setAside({ storage, signal }: Mending, artifact: ArtifactRow): Promise<boolean> {
  const [key, aside] = [artifactKey(artifact.sha256), corruptedKey(artifact.sha256)];
  if (!(await storage.find(key))) return false;
  await storage.move(key, aside);
  // Looked at where nobody can replace it any more.
  const fault = await findFault(storage, artifact, { deep: true, signal }, aside);
  if (fault && fault.kind !== 'artifactFileUnreadable') return false;
  await storage.move(aside, key);
  return fault === undefined;
}
