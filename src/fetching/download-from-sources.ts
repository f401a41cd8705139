import { digestNames } from '../downloads/digests';
import type { DigestName, Digests } from '../downloads/digests';
import { downloadArtifact } from '../downloads/download-artifact';
import type { DownloadContext, DownloadedArtifact } from '../downloads/download-artifact';
import { PenstockError } from '../errors';
import { StorageError } from '../storage/storage-error';
import type { SourceRemotes } from './source-remotes';

/** Where a file can be fetched, and what it has to be. */
export interface PromisedFile {
  readonly remoteId: string;
  /** Tried in this order. */
  readonly urls: readonly string[];
  readonly digests: Digests;
  /** Bytes. */
  readonly size?: number | undefined;
  /** Asked once for each url, as others have it, too. */
  readonly once?: boolean;
}

type FromSources = Omit<DownloadContext, 'client' | 'pool' | 'maxRetries'> & {
  readonly signal: AbortSignal;
  readonly remotes: Pick<SourceRemotes, 'open'>;
};

/**
 * Downloads a file from the first source that has it, each with its own remote's settings, limits and retries.
 *
 * @returns the file, or why each source could not give it
 * @throws {@link StorageError}, the signal's reason, and what is no `PenstockError`
 */
export async function downloadFromSources(
  sources: readonly PromisedFile[],
  { remotes, ...context }: FromSources,
): Promise<{ readonly file: DownloadedArtifact } | { readonly reasons: readonly string[] }> {
  const reasons: string[] = [];
  for (const { remoteId, once, ...wanted } of sources) {
    try {
      const { client, pool, connection } = await remotes.open(remoteId);
      const maxRetries = once ? 0 : connection.maxRetries;
      return { file: await downloadArtifact(wanted, { ...context, client, pool, maxRetries }) };
    } catch (error) {
      if (context.signal.aborted || !(error instanceof PenstockError) || error instanceof StorageError) throw error;
      reasons.push(error.message);
    }
  }
  return { reasons: reasons.length > 0 ? reasons : ['No remote is known that has it.'] };
}

/** The digests that any of a file's sources knows: whichever of them gives the file, it has to be the same one. */
export function digestsOfAll(sources: readonly Readonly<Record<DigestName, string | null>>[]): Digests {
  return Object.fromEntries(
    digestNames.flatMap((name) => {
      const known = sources.find((source) => source[name] !== null)?.[name];
      return known ? [[name, known]] : [];
    }),
  );
}
