import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { checkMetadataUrl } from '../../activities/pinned-metadata';
import type { RemoteSession } from '../../activities/remote-session';
import { fetchMetadata } from '../downloads/fetch-metadata';
import type { MetadataFile } from '../plugins/plugin';
import { FileStorage } from '../storage/file-storage';

type MetadataSession = Pick<RemoteSession, 'connection' | 'client' | 'pool' | 'observer'>;

/** Metadata files for a while: each is fetched once, into a folder that goes with the work, and within the limits of a sync. */
export class PassingMetadata {
  private readonly files = new Map<string, Promise<MetadataFile>>();

  private constructor(
    private readonly storage: FileStorage,
    private readonly session: MetadataSession,
    private readonly signal: AbortSignal,
  ) {}

  /** Makes the folder for the time of some work. */
  static async with<T>(
    session: MetadataSession,
    signal: AbortSignal,
    work: (metadata: PassingMetadata) => Promise<T>,
  ): Promise<T> {
    const folder = await mkdtemp(join(tmpdir(), 'penstock-metadata-'));
    try {
      return await work(new PassingMetadata(await FileStorage.open(folder), session, signal));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** @throws {@link InvalidMetadata}, {@link DownloadFailed}, {@link StorageFull}, or the signal's reason */
  read(url: string): Promise<MetadataFile> {
    const file = this.files.get(url) ?? this.fetch(url);
    this.files.set(url, file);
    return file;
  }

  private async fetch(url: string): Promise<MetadataFile> {
    checkMetadataUrl(url);
    const { client, pool, connection, observer } = this.session;
    const { storage, signal } = this;
    const keyOf = (sha256: string) => `metadata/${sha256}`;
    const { sha256, size } = await fetchMetadata({ urls: [url] }, keyOf, {
      client,
      pool,
      storage,
      signal,
      maxRetries: connection.maxRetries,
      observer,
    });
    return { url, sha256, size, stream: () => storage.read(keyOf(sha256)) };
  }
}
