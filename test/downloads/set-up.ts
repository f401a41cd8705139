import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { DownloadContext } from '../../src/downloads/download-artifact';
import { DownloadFailed } from '../../src/downloads/download-error';
import { DownloadPool, type PoolMember } from '../../src/downloads/download-pool';
import type { RemoteConnection } from '../../src/downloads/remote';
import { RemoteClient } from '../../src/downloads/remote-client';
import { standardLimits, type Wait } from '../../src/downloads/retries';
import { FileStorage } from '../../src/storage/file-storage';

/** A remote as it is when nothing but its url was given, and what a test wants else. */
export function remoteOf(url: string, more: Partial<RemoteConnection> = {}): RemoteConnection {
  return {
    name: 'upstream',
    url,
    downloadConcurrency: 10,
    maxRetries: 3,
    rateLimit: null,
    totalTimeout: null,
    connectTimeout: null,
    sockConnectTimeout: null,
    sockReadTimeout: null,
    tlsValidation: true,
    caCert: null,
    clientCert: null,
    clientKey: null,
    username: null,
    password: null,
    proxyUrl: null,
    proxyUsername: null,
    proxyPassword: null,
    headers: [],
    ...more,
  };
}

/** All that a download needs, with short waits. */
export interface SetUp extends DownloadContext {
  readonly root: string;
  readonly storage: FileStorage;
  readonly pool: PoolMember;
  readonly waits: Wait[];
  temporaryFiles(): Promise<string[]>;
  tearDown(): Promise<void>;
}

export async function setUp(remote: RemoteConnection, allowedFilePaths: readonly string[] = []): Promise<SetUp> {
  const root = await mkdtemp(join(tmpdir(), 'penstock-downloads-'));
  const pool = new DownloadPool().join({ slots: remote.downloadConcurrency, requestsPerSecond: remote.rateLimit });
  const client = new RemoteClient(remote, { allowedFilePaths });
  const waits: Wait[] = [];
  return {
    root,
    client,
    pool,
    storage: await FileStorage.open(root),
    maxRetries: remote.maxRetries,
    limits: { ...standardLimits, backoff: { first: 1, most: 5 } },
    waits,
    onWait: (wait) => waits.push(wait),
    temporaryFiles: () => readdir(join(root, 'tmp')),
    tearDown: async () => {
      await client.close();
      await rm(root, { recursive: true });
    },
  };
}

/** The error that a download ends with. */
export async function failureOf(download: Promise<unknown>): Promise<DownloadFailed> {
  const error: unknown = await download.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof DownloadFailed) return error;
  throw error instanceof Error ? error : new Error('It did not fail');
}

/** Reads a body to its end. */
export async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
