import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { checkMetadataUrl } from '../../activities/pinned-metadata';
import type { RemoteSession } from '../../activities/remote-session';
import { fetchMetadata } from '../downloads/fetch-metadata';
import type { MetadataFile } from '../plugins/plugin';
import { FileStorage } from '../storage/file-storage';

/** The metadata files of a plan: each is fetched once, into a folder that goes with the plan, and within the limits of a sync. */
export class PlannedMetadata {
  private readonly files = new Map<string, Promise<MetadataFile>>();

  private constructor(
    private readonly storage: FileStorage,
    private readonly session: RemoteSession,
    private readonly signal: AbortSignal,
  ) {}

  /** Makes the folder for the time of some work. */
  static async with<T>(
    session: RemoteSession,
    signal: AbortSignal,
    work: (metadata: PlannedMetadata) => Promise<T>,
  ): Promise<T> {
    const folder = await mkdtemp(join(tmpdir(), 'penstock-plan-'));
    try {
      return await work(new PlannedMetadata(await FileStorage.open(folder), session, signal));
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
    const { client, pool, connection } = this.session;
    const { storage, signal } = this;
    const keyOf = (sha256: string) => `metadata/${sha256}`;
    const { sha256, size } = await fetchMetadata({ urls: [url] }, keyOf, {
      client,
      pool,
      storage,
      signal,
      maxRetries: connection.maxRetries,
    });
    return { url, sha256, size, stream: () => storage.read(keyOf(sha256)) };
  }
}
