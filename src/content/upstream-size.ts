import { DownloadFailed, UnexpectedStatus } from '../downloads/download-error';
import type { DownloadError } from '../downloads/download-error';
import type { RemoteClient } from '../downloads/remote-client';
import { tryUrls, standardLimits } from '../downloads/retries';
import type { RetryContext } from '../downloads/retries';
import { SourceLacksFile } from '../fetching/try-sources';

const done = () => Promise.resolve();

/**
 * Asks for the size of a file without fetching it.
 *
 * @returns bytes; `undefined` where the server does not say, or answers to nothing but GET
 * @throws {@link DownloadFailed} where nobody answers, {@link SourceLacksFile} where all say that there is none; the signal's reason
 */
export function askSize(
  urls: readonly string[],
  context: RetryContext & { readonly client: RemoteClient },
): Promise<number | undefined> {
  const { client, signal } = context;
  return tryUrls(urls, context, (url) => ({
    attempt: async () => {
      const response = await client.open(url, { method: 'HEAD', signal });
      const { status, headers, body } = response;
      // It has none; once it is over, the connection can be used again. A local file is open, and has one.
      await body[Symbol.asyncIterator]().next();
      await response.discard();
      if (isMissing(status)) throw new UnexpectedStatus(url, status);
      const size = Number(headers['content-length'] ?? NaN);
      const known = status === 200 && (headers['content-encoding'] ?? 'identity') === 'identity';
      return known && Number.isSafeInteger(size) && size <= standardLimits.maxSize ? size : undefined;
    },
    park: done,
    end: done,
  })).catch((error: unknown) => {
    const missing = error instanceof DownloadFailed && error.failures.every((failure) => isMissingError(failure.error));
    throw missing ? new SourceLacksFile(error) : error;
  });
}

function isMissing(status: number): boolean {
  return status === 404 || status === 410;
}

function isMissingError(error: DownloadError): boolean {
  return error instanceof UnexpectedStatus && isMissing(error.status);
}
