import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { WorkflowFailedError } from '@temporalio/client';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { ActivityFailure, ApplicationFailure } from '@temporalio/common';

import type { Plugin } from '../../src/plugins/plugin';
import { PluginRegistry } from '../../src/plugins';
import { openDatabase } from '../../src/models/database';
import type { Database } from '../../src/models/database';
import { migrate } from '../../src/models/migrate';
import { readSettings } from '../../src/settings';
import type { Settings } from '../../src/settings';
import type { Storage } from '../../src/storage/storage';
import { artifactKey } from '../../src/storage/storage';
import { describePlace } from '../../src/storage/storage-place';
import { connectClient, connectWorker, registerSearchAttributes } from '../../src/temporal';
import { createWorker } from '../../src/worker';
import type { SyncWorker, WorkerOptions } from '../../src/worker';
import type { SyncRepositoryInput, SyncRepositoryResult } from '../../workflows/sync-repository';
import { createDatabase } from '../services/database';
import type { TestDatabase } from '../services/database';
import type { ObjectStore } from '../services/object-store';
import { quietRuntime } from './quiet-runtime';

/** Columns of a remote that a test sets. */
export interface RemoteValues {
  readonly url: string;
  readonly policy?: string;
  readonly download_concurrency?: number;
  readonly max_retries?: number;
  readonly rate_limit?: number;
  readonly total_timeout?: number;
  readonly sock_connect_timeout?: number;
  readonly sock_read_timeout?: number;
}

/** Where a Penstock's services are. */
export interface Services {
  readonly databaseUrl: string;
  readonly temporalAddress: string;
}

/** What a test wants of its Penstock, and of the workers that it starts. */
export interface PenstockOptions extends Pick<WorkerOptions, 'maxCachedWorkflows' | 'batchUnits'> {
  readonly plugins?: readonly Plugin[];
  readonly env?: Record<string, string>;
  readonly worker?: boolean;
  /** Other services than those of all tests. */
  readonly services?: Services;
  /** Where files are stored; absent: in a folder. */
  readonly objectStore?: ObjectStore | undefined;
  /** Makes the worker's storage in that folder; absent: as in production. */
  readonly storage?: (folder: string) => Promise<Storage>;
}

/** A sync that has failed, as its workflow says it. */
export class FailedSync extends Error {
  constructor(
    readonly type: string,
    message: string,
    readonly transient: boolean,
    readonly details: Readonly<Record<string, unknown>>,
  ) {
    super(message);
  }
}

/** A whole Penstock for a test file: a database, a storage and a task queue of its own, and a worker that can be stopped. */
export class Penstock {
  private workers: { stop(): void; running: Promise<void> }[] = [];

  private constructor(
    readonly database: Database,
    readonly testDatabase: TestDatabase,
    readonly client: Client,
    readonly settings: Settings,
    readonly plugins: PluginRegistry,
    readonly temporalAddress: string,
    private readonly folder: string,
    /** The folder that stored files lie in, also where that is behind an object store. */
    readonly storageDir: string,
    /** What makes another process find its storage. */
    readonly storageEnv: Readonly<Record<string, string>>,
    private readonly workerOptions: Pick<WorkerOptions, 'storage' | 'maxCachedWorkflows' | 'batchUnits'>,
  ) {}

  static async start(options: PenstockOptions = {}): Promise<Penstock> {
    quietRuntime();
    const folder = await mkdtemp(join(tmpdir(), 'penstock-'));
    const { databaseUrl, temporalAddress = sharedTemporal() } = options.services ?? {};
    const testDatabase = await createDatabase(databaseUrl);
    const bucket = options.objectStore?.newPlace();
    const settings = readSettings({
      PENSTOCK_DATA: folder,
      ...bucket?.env,
      PENSTOCK_TASK_QUEUE: `test-${randomBytes(6).toString('hex')}`,
      ...options.env,
    });
    const plugins = new PluginRegistry(options.plugins);
    const database = openDatabase(testDatabase.url);
    await migrate(database.sequelize, plugins.all);
    const client = await connectClient({ embeddedAddress: temporalAddress });
    await registerSearchAttributes(client);
    const { maxCachedWorkflows, batchUnits } = options;
    const storageDir = bucket?.folder ?? describePlace(settings.storage);
    const storage = await options.storage?.(storageDir);
    const penstock = new Penstock(
      database,
      testDatabase,
      client,
      settings,
      plugins,
      temporalAddress,
      folder,
      storageDir,
      bucket?.env ?? {},
      {
        ...(storage ? { storage } : {}),
        ...(maxCachedWorkflows === undefined ? {} : { maxCachedWorkflows }),
        ...(batchUnits === undefined ? {} : { batchUnits }),
      },
    );
    if (options.worker !== false) await penstock.startWorker();
    return penstock;
  }

  /** Starts a worker, with other workflows or settings than those of today; several may run at once. */
  async startWorker(other: Pick<Partial<WorkerOptions>, 'workflowBundle' | 'settings'> = {}): Promise<SyncWorker> {
    const { connection, namespace } = await connectWorker({ embeddedAddress: this.temporalAddress });
    const worker = await createWorker({
      settings: this.settings,
      databaseUrl: this.testDatabase.url,
      connection,
      namespace,
      plugins: this.plugins,
      ...this.workerOptions,
      workflowBundle: { codePath: join(__dirname, '..', '..', 'dist', 'workflow-bundle.js') },
      ...other,
    });
    const running = worker.run().finally(() => connection.close());
    this.workers.push({
      stop: () => {
        worker.stop();
      },
      running,
    });
    return worker;
  }

  /** Stops all its workers. */
  async stopWorker(): Promise<void> {
    const workers = this.workers.splice(0);
    for (const worker of workers) worker.stop();
    await Promise.all(workers.map(({ running }) => running));
  }

  /** A repository with a remote of the same name. */
  async addRepository(name: string, remote: RemoteValues, type = 'file'): Promise<void> {
    const columns = Object.keys(remote);
    await this.sql(
      `with remote as (
         insert into remotes (name, type, ${columns.join(', ')})
         values ($1, $2, ${columns.map((_, index) => `$${index + 3}`).join(', ')}) returning id
       ), repository as (
         insert into repositories (name, type, remote_id) select $1, $2, id from remote returning id
       )
       insert into repository_versions (repository_id, number, complete, completed_at)
       select id, 0, true, now() from repository`,
      [name, type, ...Object.values<unknown>({ ...remote })],
    );
  }

  async startSync(repository: string, options: Partial<SyncRepositoryInput> = {}): Promise<WorkflowHandle> {
    const input: SyncRepositoryInput = { repository, mode: 'additive', optimize: true, ...options };
    return this.client.workflow.start('syncRepository', {
      workflowId: this.workflowId(repository),
      taskQueue: this.settings.taskQueue,
      args: [input],
    });
  }

  /** Runs a sync to its end. */
  async sync(repository: string, options: Partial<SyncRepositoryInput> = {}): Promise<SyncRepositoryResult> {
    return this.resultOf(await this.startSync(repository, options));
  }

  /** @throws {@link FailedSync} with what the sync failed with */
  async resultOf(handle: WorkflowHandle): Promise<SyncRepositoryResult> {
    try {
      return (await handle.result()) as SyncRepositoryResult;
    } catch (error) {
      throw asFailedSync(error);
    }
  }

  /** Unique among all tests, as the namespace is shared. */
  workflowId(repository: string): string {
    return `sync/${this.settings.taskQueue}/${repository}`;
  }

  async sql<Row = Record<string, unknown>>(statement: string, values: readonly unknown[] = []): Promise<Row[]> {
    const { rows } = await this.database.pool.query(statement, [...values]);
    return rows as Row[];
  }

  /** The relative paths of a version of a file repository, in their order. */
  async pathsOf(repository: string, version: number): Promise<string[]> {
    const rows = await this.sql<{ path: string }>(
      `select file.relative_path as path
         from repositories repository
         join repository_contents held on held.repository_id = repository.id
         join file_contents file on file.content_id = held.content_id
        where repository.name = $1 and held.version_added <= $2
          and (held.version_removed is null or held.version_removed > $2)
        order by file.relative_path`,
      [repository, version],
    );
    return rows.map(({ path }) => path);
  }

  /** The stored files of a version of a file repository, by their paths. */
  async contentsOf(repository: string, version: number): Promise<Record<string, string>> {
    const rows = await this.sql<{ path: string; sha256: string }>(
      `select file.relative_path as path, artifact.sha256
         from repositories repository
         join repository_contents held on held.repository_id = repository.id
         join file_contents file on file.content_id = held.content_id
         join content_artifacts attached on attached.content_id = file.content_id
         join artifacts artifact on artifact.id = attached.artifact_id
        where repository.name = $1 and held.version_added <= $2
          and (held.version_removed is null or held.version_removed > $2)
        order by file.relative_path`,
      [repository, version],
    );
    const stored = rows.map(async ({ path, sha256 }) => [
      path,
      await readFile(join(this.storageDir, artifactKey(sha256)), 'utf8'),
    ]);
    return Object.fromEntries(await Promise.all(stored)) as Record<string, string>;
  }

  /** How many files lie in the storage under a final name. */
  async countStoredFiles(): Promise<number> {
    const folder = join(this.storageDir, 'artifact');
    const found = await readdir(folder, { recursive: true, withFileTypes: true });
    return found.filter((entry) => entry.isFile()).length;
  }

  /** The numbers of the versions that readers see. */
  async versionsOf(repository: string): Promise<number[]> {
    const rows = await this.sql<{ number: number }>(
      `select version.number from repository_versions version join repositories repository on repository.id = version.repository_id
        where repository.name = $1 and version.complete order by version.number`,
      [repository],
    );
    return rows.map(({ number }) => number);
  }

  async stop(): Promise<void> {
    await this.stopWorker();
    await this.database.close();
    await this.client.connection.close();
    await this.testDatabase.drop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Waits until something holds; what it waits for is named where it never does. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  milliseconds = 30_000,
): Promise<void> {
  const deadline = Date.now() + milliseconds;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`${what} did not come about within ${milliseconds} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function asFailedSync(error: unknown): unknown {
  if (!(error instanceof WorkflowFailedError)) return error;
  const cause = error.cause instanceof ActivityFailure ? error.cause.cause : error.cause;
  if (!(cause instanceof ApplicationFailure)) return cause ?? error;
  const details = (cause.details?.[0] ?? {}) as Record<string, unknown>;
  return new FailedSync(cause.type ?? '', cause.message, details.transient === true, details);
}

function sharedTemporal(): string {
  const address = process.env.PENSTOCK_TEST_TEMPORAL_ADDRESS;
  if (!address) throw new Error('The tests are run by Jest, whose global setup starts the services.');
  return address;
}
