import type { FileSink } from '../storage/storage';
import { BodyDownload, notModified, type BodyContext } from './body-download';
import { parseDigests, type Digests } from './digests';
import { DownloadFailed, UnexpectedStatus, type DownloadError } from './download-error';
import { textOf } from './resuming';
import { tryUrls, type DownloadLimits, type RetryContext } from './retries';

/**
 * Bytes of a metadata file at most, where its size is not declared: ten times the largest package index in the field, and
 * little enough that an endless body ends before the disk is full.
 */
export const MAX_METADATA_BYTES = 1024 ** 3;

/** A metadata file as upstream declares it, or just its url. */
export interface WantedMetadata {
  /** Tried in this order. */
  readonly urls: readonly string[];
  readonly digests?: Digests | undefined;
  /** Bytes. */
  readonly size?: number | undefined;
}

/** A metadata file as it was fetched: all that is needed to ask later whether it has changed. */
export interface FetchedMetadata {
  /** Which of the urls it came from. */
  readonly url: string;
  readonly sha256: string;
  readonly size: number;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

type Context = Omit<BodyContext, 'storage'> & RetryContext;

/**
 * Fetches a metadata file into the storage. Where neither size nor `limits.maxSize` is given, it may have
 * {@link MAX_METADATA_BYTES}.
 *
 * @param keyOf - the key that it is stored under, which may depend on its digest
 * @throws {@link DownloadFailed}, {@link StorageFull}, {@link InvalidDigest}, or the signal's reason
 */
export async function fetchMetadata(
  wanted: WantedMetadata,
  keyOf: (sha256: string) => string,
  context: Context & { readonly storage: FileSink },
): Promise<FetchedMetadata> {
  const declared = { digests: parseDigests(wanted.digests ?? {}), size: wanted.size };
  const limited = { ...context, limits: metadataLimits(context) };
  const fetched = await tryUrls(wanted.urls, context, (url) => new BodyDownload(url, declared, keyOf, limited));
  if (fetched === notModified) throw new TypeError('304 without a condition');
  const { url, sha256, size, headers } = fetched;
  const lastModified = textOf(headers['last-modified']) ?? null;
  return { url, sha256, size, etag: textOf(headers.etag) ?? null, lastModified };
}

/**
 * Asks whether upstream has other bytes now than those that were fetched. A server that knows conditional requests answers
 * without a body; from any other the file is read again, and compared. A file that is gone, or no longer given out, has changed.
 *
 * @throws {@link DownloadFailed} where upstream does not say, or the signal's reason
 */
export async function hasChanged(pin: FetchedMetadata, context: Context): Promise<boolean> {
  // With an ETag the date must not decide (RFC 9110, 13.1.3), and some servers look at it nevertheless.
  const conditions: Record<string, string> = {};
  if (pin.etag !== null) conditions['if-none-match'] = pin.etag;
  else if (pin.lastModified !== null) conditions['if-modified-since'] = pin.lastModified;
  const limited = { ...context, storage: undefined, limits: metadataLimits(context) };
  try {
    const fetched = await tryUrls(
      [pin.url],
      context,
      (url) => new BodyDownload(url, { digests: {} }, () => '', limited, conditions),
    );
    return fetched !== notModified && fetched.sha256 !== pin.sha256;
  } catch (error) {
    if (error instanceof DownloadFailed && error.failures.every((failure) => isGone(failure.error))) return true;
    throw error;
  }
}

/**
 * Whether upstream itself has given its last word (404, 410, 403): asking again, at every later sync, would not help. Not where
 * it wants other credentials (401): the file may be as it was.
 */
function isGone(error: DownloadError): boolean {
  return (
    error instanceof UnexpectedStatus && !error.retried && error.by === 'the server' && error.details.status !== 401
  );
}

function metadataLimits({ limits }: RetryContext): Partial<DownloadLimits> {
  return { maxSize: MAX_METADATA_BYTES, ...limits };
}
