import { onAbort } from '../downloads/abort';
import type { Digests } from '../downloads/digests';
import type { DownloadContext, WantedArtifact } from '../downloads/download-artifact';
import type { DownloadLimits } from '../downloads/retries';
import { PenstockError } from '../errors';
import { digestsOfAll } from '../fetching/download-from-sources';
import type { FileSource } from '../fetching/find-sources';
import type { SourceRemote } from '../fetching/source-remotes';
import type { SourceTrial } from '../fetching/try-sources';
import type { Storage } from '../storage/storage';
import type { FoundFile } from './found-file';

/** A file that is not stored, and all that is known of it. */
export interface DeferredFile {
  readonly contentArtifactId: string;
  readonly path: string;
  /** In the order in which they are tried. */
  readonly sources: readonly FileSource[];
  /** Bytes. */
  readonly size: number | undefined;
  readonly sha256: string | undefined;
  /** All that are known, whichever of the sources knows them. */
  readonly digests: Digests;
}

/** What deferred files are fetched with. */
export interface Fetching extends SourceTrial {
  readonly storage: Storage;
  /** Whether sha1 or md5 may be all that is known of a file. */
  readonly allowWeakDigests: boolean;
}

/** A client waits: attempts that begin anew are few, and pauses short. A body that breaks is resumed as often as its remote says. */
const MOST_RESTARTS = 1;
const limits: Partial<DownloadLimits> = { backoff: { first: 100, most: 1_000 }, maxRetryAfter: 1_000 };

/** What a file has been, where it was stored before, and else what its sources declare. */
export function asDeferred(
  { contentArtifactId, path, stored }: FoundFile,
  sources: readonly FileSource[],
): DeferredFile {
  const digests = { ...digestsOfAll(sources), ...(stored && { sha256: stored.sha256 }) };
  return {
    contentArtifactId,
    path,
    sources,
    size: stored?.size ?? sources.find(({ size }) => size !== null)?.size ?? undefined,
    sha256: digests.sha256,
    digests,
  };
}

/** What a source has to give, whatever it declares itself. */
export function wantedFrom({ urls }: FileSource, { size, digests }: DeferredFile): WantedArtifact {
  return { urls, size, digests };
}

/** Milliseconds that a client waits for its turn at a remote. */
const MOST_WAIT = 30_000;

/** The downloads that its remote may make at once are under way, and do not end. */
export class RemoteBusy extends PenstockError {
  override readonly transient = true;

  constructor(remoteName: string) {
    super(`The remote ${remoteName} has had no slot free for ${MOST_WAIT / 1000} s; ask again later.`, {
      remote: remoteName,
    });
  }
}

/** How to download from a remote while clients wait; its `acquire` throws {@link RemoteBusy}. */
export function waitedFor(
  { client, pool, connection }: SourceRemote,
  signal: AbortSignal,
): Omit<DownloadContext, 'storage'> {
  const { maxRetries, name } = connection;
  const acquire = async () => {
    const patience = new AbortController();
    const timer = setTimeout(() => {
      patience.abort(new RemoteBusy(name));
    }, MOST_WAIT);
    const takeBack = onAbort(signal, () => {
      patience.abort(signal.reason);
    });
    return pool.acquire(signal.aborted ? signal : patience.signal).finally(() => {
      clearTimeout(timer);
      takeBack();
    });
  };
  return { client, pool: { pauses: pool.pauses, acquire }, signal, maxRetries, maxRestarts: MOST_RESTARTS, limits };
}
