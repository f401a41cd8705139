import type { PoolClient } from 'pg';

import { fetchMetadata, hasChanged } from '../src/downloads/fetch-metadata';
import type { FetchedMetadata } from '../src/downloads/fetch-metadata';
import { InvalidMetadata } from '../src/plugins/invalid-metadata';
import type { MetadataFile } from '../src/plugins/plugin';
import { metadataKey } from '../src/storage/storage';
import type { ActivityDependencies } from './dependencies';
import type { RemoteSession } from './remote-session';

const pinColumns = 'url, sha256, size::float8 as size, etag, last_modified as "lastModified"';

/** Of a url's bytes: a pinned file is found by its url in an index, whose entries PostgreSQL limits to 2,704 bytes. */
const longestUrl = 2048;

/** @throws {@link InvalidMetadata} where a url is too long to be pinned under */
export function checkMetadataUrl(url: string): void {
  if (Buffer.byteLength(url) > longestUrl)
    throw new InvalidMetadata(`expected a url of metadata of at most ${longestUrl} bytes`, { url: url.slice(0, 300) });
}

/**
 * A metadata file as the sync reads it: fetched once, then pinned, so that a discovery which runs again sees the same bytes.
 *
 * @param pin - runs the insert in a transaction that only the current attempt of the discovery can commit
 */
export async function readPinned(
  { database, storage }: ActivityDependencies,
  { client, pool, connection, observer }: RemoteSession,
  {
    syncId,
    url,
    signal,
    pin,
  }: {
    readonly syncId: string;
    readonly url: string;
    readonly signal: AbortSignal;
    readonly pin: (work: (client: PoolClient) => Promise<unknown>) => Promise<unknown>;
  },
): Promise<MetadataFile> {
  checkMetadataUrl(url);
  const find = async (): Promise<FetchedMetadata | undefined> => {
    const { rows } = await database.pool.query<FetchedMetadata>(
      `select ${pinColumns} from sync_metadata where sync_id = $1 and url = $2`,
      [syncId, url],
    );
    return rows[0];
  };
  let pinned = await find();
  if (!pinned || (await storage.sizeOf(metadataKey(syncId, pinned.sha256))) !== pinned.size) {
    const fetched = await fetchMetadata(
      { urls: [url], ...(pinned ? { digests: { sha256: pinned.sha256 } } : {}) },
      (sha256) => metadataKey(syncId, sha256),
      {
        client,
        pool,
        storage,
        signal,
        maxRetries: connection.maxRetries,
        observer,
      },
    );
    await storage.flush();
    await pin((transaction) =>
      transaction.query(
        `insert into sync_metadata (sync_id, url, sha256, size, etag, last_modified)
         values ($1, $2, $3, $4, $5, $6) on conflict (sync_id, url) do nothing`,
        [syncId, url, fetched.sha256, fetched.size, fetched.etag, fetched.lastModified],
      ),
    );
    pinned = (await find()) ?? fetched;
  }
  const { sha256, size } = pinned;
  return { url, sha256, size, stream: () => storage.read(metadataKey(syncId, sha256)) };
}

/** Whether any metadata file that a sync has pinned is another one upstream now. */
export async function changedMetadata(
  { database }: Pick<ActivityDependencies, 'database'>,
  { client, pool, connection, observer }: Omit<RemoteSession, 'summary'>,
  { syncId, signal }: { readonly syncId: string; readonly signal: AbortSignal },
): Promise<boolean> {
  const { rows } = await database.pool.query<FetchedMetadata>(
    `select ${pinColumns} from sync_metadata where sync_id = $1 order by url`,
    [syncId],
  );
  for (const pin of rows) {
    if (await hasChanged(pin, { client, pool, signal, maxRetries: connection.maxRetries, observer })) return true;
  }
  return false;
}
