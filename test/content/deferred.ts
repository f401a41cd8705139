import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { DeferredDownloads } from '../../src/content/deferred-downloads';
import type { ByteRange, FoundFile } from '../../src/content/found-file';
import { DownloadPools } from '../../src/downloads/download-pool';
import { openDatabase } from '../../src/models/database';
import type { Database } from '../../src/models/database';
import { migrate } from '../../src/models/migrate';
import { SecretBox } from '../../src/models/remote-secrets';
import type { RemoteSecrets } from '../../src/models/remote-secrets';
import { PluginRegistry } from '../../src/plugins';
import { FileStorage } from '../../src/storage/file-storage';
import type { Storage } from '../../src/storage/storage';
import { createDatabase } from '../services/database';
import type { TestDatabase } from '../services/database';

/** Where a file is to be had, and what is declared of it there. */
export interface TestSource {
  readonly url: string;
  readonly urls?: readonly string[];
  readonly policy?: 'immediate' | 'on_demand' | 'streamed';
  readonly size?: number;
  readonly sha256?: string;
  readonly secrets?: RemoteSecrets;
  readonly maxRetries?: number;
  readonly readTimeout?: number;
}

/** What a content app has below its server: a database, a storage, and what fetches deferred files. */
export class Deferring {
  readonly never: AbortSignal = new AbortController().signal;
  readonly warnings: { readonly details: object; readonly message: string }[] = [];
  readonly secrets = new SecretBox(Buffer.alloc(32, 7));
  downloads: DeferredDownloads;
  #count = 0;

  private constructor(
    readonly database: Database,
    readonly storage: Storage,
    private readonly folder: string,
    private readonly testDatabase: TestDatabase,
  ) {
    this.downloads = this.open();
  }

  static async start(openStorage = (folder: string): Promise<Storage> => FileStorage.open(folder)): Promise<Deferring> {
    const folder = await mkdtemp(join(tmpdir(), 'penstock-deferred-'));
    const testDatabase = await createDatabase();
    const database = openDatabase(testDatabase.url);
    await migrate(database.sequelize, new PluginRegistry().all);
    return new Deferring(database, await openStorage(folder), folder, testDatabase);
  }

  /** As another process would. */
  open(): DeferredDownloads {
    return new DeferredDownloads({
      pool: this.database.pool,
      storage: this.storage,
      pools: new DownloadPools(),
      secrets: this.secrets,
      settings: { allowedFilePaths: [], allowWeakDigests: false },
      log: { warn: (details, message) => this.warnings.push({ details, message }) },
    });
  }

  /** A file that is not stored, to be had from a remote for each of its sources. */
  async add(...sources: readonly TestSource[]): Promise<FoundFile> {
    this.#count += 1;
    const path = `file-${this.#count}`;
    const [added] = await this.sql<{ id: string }>(
      `with content as (insert into contents (type) values ('file') returning id)
       insert into content_artifacts (content_id, relative_path) select id, $1 from content returning id`,
      [path],
    );
    const contentArtifactId = added?.id ?? '';
    for (const [index, source] of sources.entries()) {
      const { url, urls, policy = 'on_demand', size, sha256, secrets = {}, maxRetries = 3, readTimeout } = source;
      await this.sql(
        `with remote as (
           insert into remotes (name, type, url, policy, max_retries, sock_read_timeout, secrets)
           values ($1, 'file', $2, $3, $4, $5, $6) returning id
         )
         insert into remote_artifacts (content_artifact_id, remote_id, urls, size, sha256)
         select $7, id, $8, $9, $10 from remote`,
        [
          `${path} from ${index + 1}`,
          url,
          policy,
          maxRetries,
          readTimeout ?? 60,
          this.secrets.seal(secrets),
          contentArtifactId,
          urls ?? [url],
          size ?? null,
          sha256 ?? null,
        ],
      );
    }
    return { contentArtifactId, path, lastModified: new Date(0), stored: undefined };
  }

  /** Reads a file, or a part of it, to its end. */
  async read(file: FoundFile, range?: ByteRange, signal: AbortSignal = this.never): Promise<Buffer> {
    return collect(await this.openFile(file, range, signal));
  }

  async openFile(
    file: FoundFile,
    range?: ByteRange,
    signal: AbortSignal = this.never,
  ): Promise<AsyncIterable<Uint8Array>> {
    return (await this.downloads.find(file, signal)).open(range, signal);
  }

  /** The digest of what a file has become, once it is stored. */
  async attached({ contentArtifactId }: FoundFile): Promise<string | undefined> {
    const [row] = await this.sql<{ sha256: string }>(
      `select sha256 from artifacts join content_artifacts on artifact_id = artifacts.id where content_artifacts.id = $1`,
      [contentArtifactId],
    );
    return row?.sha256;
  }

  /** Of a file's sources, in their order, whether they are left alone. */
  async aside({ contentArtifactId }: FoundFile): Promise<boolean[]> {
    const rows = await this.sql<{ aside: boolean }>(
      `select coalesce(failed_until between now() + interval '290 s' and now() + interval '300 s', false) as aside
         from remote_artifacts where content_artifact_id = $1 order by id`,
      [contentArtifactId],
    );
    return rows.map(({ aside }) => aside);
  }

  /** All files in the storage, temporary ones too. */
  async files(): Promise<string[]> {
    const names: string[] = [];
    for await (const { key } of this.storage.list('')) names.push(key);
    return names;
  }

  async temporaryFiles(): Promise<string[]> {
    return readdir(join(this.folder, 'tmp'));
  }

  async sql<Row = Record<string, unknown>>(statement: string, values: readonly unknown[] = []): Promise<Row[]> {
    const { rows } = await this.database.pool.query(statement, [...values]);
    return rows as Row[];
  }

  async stop(): Promise<void> {
    await this.downloads.close();
    await this.database.close();
    await this.testDatabase.drop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Reads to the end. */
export async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Reads to the end, or to an error: what came before it, and the error. */
export async function readUntilError(bytes: AsyncIterable<Uint8Array>): Promise<{ length: number; error: unknown }> {
  let length = 0;
  try {
    for await (const piece of bytes) length += piece.byteLength;
    return { length, error: undefined };
  } catch (error) {
    return { length, error };
  }
}
