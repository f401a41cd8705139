import type { RemoteClient } from '../downloads/remote-client';
import { tryUrls, standardLimits } from '../downloads/retries';
import type { RetryContext } from '../downloads/retries';

const done = () => Promise.resolve();

/**
 * Asks for the size of a file without fetching it.
 *
 * @returns bytes; `undefined` where the server does not say, or answers to nothing but GET
 * @throws {@link DownloadFailed} where nobody answers; the signal's reason
 */
export function askSize(
  urls: readonly string[],
  context: RetryContext & { readonly client: RemoteClient },
): Promise<number | undefined> {
  const { client, signal } = context;
  return tryUrls(urls, context, (url) => ({
    attempt: async () => {
      const { status, headers, body } = await client.open(url, { method: 'HEAD', signal });
      // It has none; once it is over, the connection can be used again.
      await body[Symbol.asyncIterator]().next();
      const size = Number(headers['content-length'] ?? NaN);
      const known = status === 200 && (headers['content-encoding'] ?? 'identity') === 'identity';
      return known && Number.isSafeInteger(size) && size <= standardLimits.maxSize ? size : undefined;
    },
    park: done,
    end: done,
  }));
}
