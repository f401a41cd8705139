import type { Pool } from 'pg';

import { InvalidDigest, WeakDigest } from '../downloads/digests';
import { DownloadFailed, UnexpectedStatus, UnusableRemote } from '../downloads/download-error';
import { InvalidSetting, PenstockError } from '../errors';
import { RemoteNotFound } from '../repositories/errors';
import { COOL_DOWN, forgive, leaveAlone } from './find-sources';
import type { FileSource } from './find-sources';
import type { LeasedRemotes } from './leased-remotes';
import type { SourceRemote } from './source-remotes';

/** A source was only asked about a file, and says that it has none: the next request asks it again. */
export class SourceLacksFile extends PenstockError {
  constructor(cause: DownloadFailed) {
    super(cause.message, cause.details, { cause });
  }
}

/** None of the sources could give a file. */
export interface NoSource {
  /** Why not, a sentence for each source. */
  readonly reasons: readonly string[];
  /** Seconds until one of them is asked again. */
  readonly retryAfter: number | undefined;
}

/** What sources are tried with. */
export interface SourceTrial {
  readonly pool: Pool;
  readonly remotes: LeasedRemotes;
  /** Told of each source that could not give the file. */
  readonly onFailure: (source: FileSource, error: PenstockError) => void;
  /** Told where it could not be noted how a source has fared: the file is had, or looked for, all the same. */
  readonly onUnnoted: (source: FileSource, error: unknown) => void;
}

/**
 * Fetches from the sources of a file in their order, until one has given it. One that failed is left alone for the cool-down, and
 * so are those that failed lately; one whose remote cannot be used as it is set up is passed by, and tried again the next time.
 *
 * @throws what `fetch` throws and is not the source's doing: a full disk, the reason of a signal
 */
export async function trySources<T>(
  sources: readonly FileSource[],
  { pool, remotes, onFailure, onUnnoted }: SourceTrial,
  fetch: (source: FileSource, remote: SourceRemote) => Promise<T>,
): Promise<{ readonly value: T } | NoSource> {
  const reasons: string[] = [];
  const waits: number[] = [];
  const note = (source: FileSource, noting: Promise<void>) =>
    noting.catch((error: unknown) => {
      onUnnoted(source, error);
    });
  for (const source of sources) {
    const waited = rests(source);
    if (waited > 0) {
      reasons.push(`The remote ${source.remoteName} has failed, and is left alone for ${waited} s.`);
      waits.push(waited);
      continue;
    }
    try {
      const value = await remotes.use(source.remoteId, source.remoteRevision, (remote) =>
        fetch(source, source.origin.kind === 'alternate' ? askedOnce(remote) : remote),
      );
      if (source.failedUntil !== null) await note(source, forgive(pool, source.origin));
      return { value };
    } catch (error) {
      if (!isOfSource(error)) throw error;
      reasons.push(`The remote ${source.remoteName}: ${error.message}`);
      onFailure(source, error);
      if (!(error instanceof DownloadFailed)) continue;
      waits.push(COOL_DOWN);
      if (source.origin.kind === 'alternate' && lacksOnlyThis(error)) continue;
      await note(source, leaveAlone(pool, source.origin));
    }
  }
  return { reasons, retryAfter: waits.length === sources.length ? Math.min(...waits) : undefined };
}

/** Seconds for which a source is still left alone. */
export function rests({ failedUntil }: FileSource): number {
  return failedUntil === null ? 0 : Math.max(0, Math.ceil((failedUntil.getTime() - Date.now()) / 1000));
}

const unusable = [
  DownloadFailed,
  SourceLacksFile,
  RemoteNotFound,
  UnusableRemote,
  InvalidSetting,
  WeakDigest,
  InvalidDigest,
] as const;

function isOfSource(error: unknown): error is PenstockError {
  return unusable.some((kind) => error instanceof kind);
}

/** An alternate is left alone as a whole: not where it works, and just does not have a file any more. */
function lacksOnlyThis({ failures }: DownloadFailed): boolean {
  return failures.every(({ error }) => error instanceof UnexpectedStatus && error.details.status === 404);
}

/** An alternate is only the first choice: the original is there. */
function askedOnce({ connection, ...remote }: SourceRemote): SourceRemote {
  return { ...remote, connection: { ...connection, maxRetries: 0 } };
}
