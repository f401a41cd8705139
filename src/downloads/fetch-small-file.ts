import type { FileSink, StorageWriter } from '../storage/storage';
import { fetchMetadata } from './fetch-metadata';
import type { RemoteClient } from './remote-client';
import type { RetryContext } from './retries';

/**
 * Fetches a small file into memory.
 *
 * @param maxBytes - a longer body is an error
 * @throws {@link DownloadFailed}, or the signal's reason
 */
export async function fetchSmallFile(
  url: string,
  maxBytes: number,
  context: RetryContext & { readonly client: RemoteClient },
): Promise<Buffer> {
  const memory = new MemoryFile();
  await fetchMetadata({ urls: [url] }, (sha256) => sha256, {
    ...context,
    storage: memory,
    limits: { maxSize: maxBytes },
  });
  return memory.content;
}

/** Holds the one file that is written to it. */
class MemoryFile implements FileSink {
  content = Buffer.alloc(0);

  create(): StorageWriter {
    const chunks: Buffer[] = [];
    return {
      write: (chunk) => {
        // The chunk belongs to the socket, which may use it again.
        chunks.push(Buffer.from(chunk));
        return Promise.resolve();
      },
      commit: () => {
        this.content = Buffer.concat(chunks);
        return Promise.resolve();
      },
      discard: () => Promise.resolve(),
    };
  }
}
