import { artifactKey, type FileSink } from '../storage/storage';
import { BodyDownload, notModified, type BodyContext, type FetchedBody } from './body-download';
import { bestStrongDigest, declaredNames, parseDigests, refuseWeakDigests, type Digests } from './digests';
import { displayUrl } from './display-url';
import { InFlight } from './in-flight';
import { tryUrls, type RetryContext } from './retries';

/** A file that is to be stored, as upstream declares it. */
export interface WantedArtifact {
  /** Tried in this order. */
  readonly urls: readonly string[];
  /** Hexadecimal, in either case. */
  readonly digests: Digests;
  /** Bytes. */
  readonly size?: number | undefined;
}

/** What a download needs, shared by all the downloads of an activity. */
export interface DownloadContext extends BodyContext, RetryContext {
  readonly storage: FileSink;
  /** Looks whether the file is stored already, right before it would be fetched: another download may just have ended. */
  readonly findStored?: (digests: Digests, size: number | undefined) => Promise<StoredFile | undefined>;
  /** What another download of the process takes for stored does not count: what lies there is known to be bad. */
  readonly alone?: boolean;
  /** Whether sha1 or md5 may be all that is known. */
  readonly allowWeakDigests?: boolean | undefined;
}

/** A file that lies in the storage under `artifactKey(sha256)`. */
export interface StoredFile {
  readonly sha256: string;
  readonly size: number;
}

/** A file that was downloaded, or found to be stored. */
export interface DownloadedArtifact extends StoredFile {
  /** Those that were declared, and sha256; in lower case. */
  readonly digests: Digests;
  /** Which of the urls it came from; the first, where it was stored. */
  readonly url: string;
}

const inFlight = new InFlight<DownloadedArtifact>();

/**
 * Downloads a file into the storage, in one step under its final name, once every declared digest and the size were found
 * right. The same file wanted twice at once in a process is downloaded once, unless it is to be
 * downloaded alone.
 *
 * @throws {@link DownloadFailed} where it could be had from no url, saying for each why
 * @throws {@link WeakDigest}, {@link InvalidDigest}
 * @throws {@link StorageFull}
 * @throws the signal's reason, promptly; no temporary file stays
 */
export async function downloadArtifact(wanted: WantedArtifact, context: DownloadContext): Promise<DownloadedArtifact> {
  const digests = parseDigests(wanted.digests);
  const declared = { digests, size: wanted.size };
  if (!context.allowWeakDigests) refuseWeakDigests(digests, displayUrl(wanted.urls[0] ?? ''));

  const key = bestStrongDigest(digests);
  // Two may agree in the best digest, and one of them still declare another size or a wrong second digest.
  const fits = (made: DownloadedArtifact) =>
    (wanted.size === undefined || wanted.size === made.size) &&
    declaredNames(digests).every((name) => digests[name] === made.digests[name]);
  const find = async (): Promise<DownloadedArtifact | undefined> => {
    const stored = await context.findStored?.(digests, wanted.size);
    return stored && { ...stored, digests: { sha256: stored.sha256 }, url: wanted.urls[0] ?? '' };
  };

  const stored = await find();
  if (stored) return stored;
  return tryUrls(wanted.urls, context, (url) => {
    const body = new BodyDownload(url, declared, artifactKey, context);
    // Another download of it may have ended while this one waited for its slot.
    const download = async () => (await find()) ?? asDownloaded(await body.attempt());
    return {
      // With its slot in hand: who still waits for one, perhaps at a slow remote, keeps nobody else waiting.
      attempt: () =>
        key === undefined || context.alone ? download() : inFlight.run(key, download, fits, context.signal),
      get resumable() {
        return body.resumable;
      },
      park: () => body.park(),
      end: () => body.end(),
    };
  });
}

function asDownloaded(fetched: FetchedBody | typeof notModified): DownloadedArtifact {
  if (fetched === notModified) throw new TypeError('304 without a condition');
  const { sha256, size, digests, url } = fetched;
  return { sha256, size, digests, url };
}
