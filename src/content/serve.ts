import type { Logger } from 'pino';

import { DownloadPools } from '../downloads/download-pool';
import type { Database } from '../models/database';
import { openSecretBox } from '../models/remote-secrets';
import type { Settings } from '../settings';
import { openStorage } from '../storage/open-storage';
import { ContentApp } from './content-app';
import { ContentServer } from './content-server';
import { DeferredDownloads } from './deferred-downloads';
import { openLookupPool } from './lookup-pool';

/** What the content app is started with. */
export interface ServeOptions {
  readonly settings: Settings;
  readonly databaseUrl: string;
  /** The same, open; whoever gave it closes it. */
  readonly database: Database;
  readonly logger: Logger;
}

/** The content app while it serves. */
export interface ServedContent {
  /** Where it listens, as `http://127.0.0.1:24816`. */
  readonly url: string;
  /** Ends it; what is under way may end first, for a while. */
  close(): Promise<void>;
}

/** Serves the distributions over HTTP. @throws {@link InvalidSetting}, {@link StorageError} */
export async function serveContent({ settings, databaseUrl, database, logger }: ServeOptions): Promise<ServedContent> {
  const storage = await openStorage(settings);
  const pool = openLookupPool(databaseUrl);
  const deferred = new DeferredDownloads({
    pool: database.pool,
    storage,
    pools: new DownloadPools(),
    secrets: openSecretBox(settings),
    settings,
    log: logger,
  });
  const app = new ContentApp({ pool, storage, deferred, logger, settings });
  try {
    const server = await ContentServer.open(settings, (request, response) => void app.respond(request, response));
    return {
      url: server.url,
      close: async () => {
        await server.close();
        await deferred.close();
        await pool.end();
      },
    };
  } catch (error) {
    await pool.end();
    throw error;
  }
}
