import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders, RequestOptions } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Pool } from 'pg';
import { pino } from 'pino';
import type { Logger } from 'pino';

import { ContentApp } from '../../src/content/content-app';
import type { ContentDependencies } from '../../src/content/content-app';
import { ContentServer } from '../../src/content/content-server';
import { FileUnavailable } from '../../src/content/errors';
import { openLookupPool } from '../../src/content/lookup-pool';
import { openDatabase } from '../../src/models/database';
import type { Database } from '../../src/models/database';
import { migrate } from '../../src/models/migrate';
import { FileStorage } from '../../src/storage/file-storage';
import { artifactKey } from '../../src/storage/storage';
import { plugins } from '../../src/plugins';
import { sha256 } from '../harness/file-repository';
import { createDatabase } from '../services/database';
import type { TestDatabase } from '../services/database';

/** What a client has got. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A content app that answers. */
export interface Served {
  readonly url: string;
  close(): Promise<void>;
}

/** A database and a storage that versions are put into without a sync, and content apps over them. */
export class ContentHouse {
  private readonly served: Served[] = [];

  private constructor(
    readonly database: Database,
    readonly storage: FileStorage,
    readonly folder: string,
    readonly testDatabase: TestDatabase,
  ) {}

  static async open(): Promise<ContentHouse> {
    const testDatabase = await createDatabase();
    const database = openDatabase(testDatabase.url);
    await migrate(database.sequelize, plugins);
    const folder = await mkdtemp(join(tmpdir(), 'penstock-content-'));
    return new ContentHouse(database, await FileStorage.open(join(folder, 'storage')), folder, testDatabase);
  }

  get pool(): Pool {
    return this.database.pool;
  }

  /** Starts a content app; without anything deferred where the test says nothing else. */
  async serve(changes: Partial<ContentDependencies> = {}): Promise<Served> {
    const pool = openLookupPool(this.testDatabase.url);
    const app = new ContentApp({
      pool,
      storage: this.storage,
      deferred: { find: ({ path }) => Promise.reject(new FileUnavailable(path, ['nobody has it'], 17)) },
      logger: silent(),
      settings: { contentRedirect: false, contentTrustProxy: false },
      ...changes,
    });
    const server = await ContentServer.open({ contentAddress: { host: '127.0.0.1', port: 0 } }, (request, response) => {
      void app.respond(request, response);
    });
    let closing: Promise<void> | undefined;
    const served = {
      url: server.url,
      close: () => (closing ??= server.close().then(() => pool.end())),
    };
    this.served.push(served);
    return served;
  }

  async addRepository(name: string): Promise<void> {
    await this.pool.query(
      `with repository as (insert into repositories (name, type) values ($1, 'file') returning id)
       insert into repository_versions (repository_id, number, complete, completed_at)
       select id, 0, true, now() from repository`,
      [name],
    );
  }

  /**
   * Adds a complete version that holds these files and none of those before; null: a file that is not stored.
   *
   * @returns its number
   */
  async addVersion(repository: string, files: Readonly<Record<string, Buffer | string | null>>): Promise<number> {
    const entries = Object.entries(files).map(([path, body]) => ({
      path,
      sha256: body === null ? null : sha256(Buffer.from(body)),
      size: body === null ? null : Buffer.byteLength(body),
    }));
    for (const body of Object.values(files)) if (body !== null) await this.store(body);
    const { rows } = await this.pool.query<{ number: number }>(addVersion, [
      repository,
      entries.map(({ path }) => path),
      entries.map((entry) => entry.sha256),
      entries.map(({ size }) => size),
    ]);
    return rows[0]?.number ?? NaN;
  }

  async store(body: Buffer | string): Promise<string> {
    const bytes = Buffer.from(body);
    const key = artifactKey(sha256(bytes));
    const writer = this.storage.create();
    await writer.write(bytes);
    await writer.commit(key);
    return key;
  }

  async distribute(basePath: string, repository: string, more: { guard?: 'token' } = {}): Promise<void> {
    await this.pool.query(
      `insert into distributions (name, base_path, repository_id, guard)
       select $1, $1, id, $3 from repositories where name = $2`,
      [basePath, repository, more.guard ?? null],
    );
  }

  async close(): Promise<void> {
    for (const served of this.served) await served.close();
    await this.database.close();
    await this.testDatabase.drop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Removes all that the newest version holds, and adds contents with one file each. */
const addVersion = `
  with version as (
    insert into repository_versions (repository_id, number, complete, completed_at)
    select repository.id, max(number) + 1, true, now()
      from repositories repository join repository_versions on repository_id = repository.id
     where name = $1 group by repository.id
    returning id, repository_id, number
  ), removed as (
    update repository_contents held set version_removed = version.number
      from version where held.repository_id = version.repository_id and held.version_removed is null
  ), file as (
    select nextval('content_ids') as content_id, path, sha256, size
      from unnest($2::text[], $3::text[], $4::bigint[]) as file (path, sha256, size)
  ), content as (
    insert into contents (id, type) select content_id, 'file.file' from file
  ), artifact as (
    insert into artifacts (sha256, size) select sha256, max(size) from file where sha256 is not null group by sha256
    on conflict (sha256) do update set size = excluded.size returning id, sha256
  ), attached as (
    insert into content_artifacts (content_id, artifact_id, relative_path)
    select file.content_id, artifact.id, file.path from file left join artifact using (sha256)
  ), counted as (
    insert into repository_version_counts (version_id, type, added, removed, present)
    select id, 'file.file', count(*), 0, count(*) from version, file group by id
  ), held as (
    insert into repository_contents (repository_id, content_id, version_added)
    select version.repository_id, content_id, version.number from version, file
  )
  select number from version`;

function silent(): Logger {
  return pino({ level: 'silent' });
}

/** Sends a request exactly as it is given: `fetch` would mend its path. */
export function ask(url: string, path: string, options: RequestOptions = {}): Promise<Reply> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const request = httpRequest({ hostname, port, path, agent: false, ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
      });
    });
    request.on('error', reject).end();
  });
}
