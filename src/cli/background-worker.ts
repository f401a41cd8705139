import { findFreePort } from '../embedded/ports';
import type { ServiceAddresses } from '../embedded/services';
import { asError } from '../errors';
import type { Database } from '../models/database';
import { allMigrations } from '../models/migrate';
import type { Watch } from '../observability/watch-worker';
import { WorkerMetrics } from '../observability/worker-metrics';
import { plugins } from '../plugins';
import type { Settings } from '../settings';
import { openStorage } from '../storage/open-storage';
import { connectWorker } from '../temporal';
import { createWorker } from '../worker';
import type { SyncWorker } from '../worker';
import { installRuntime, openLog } from './logging';

/** A worker in this process. */
export class BackgroundWorker {
  /** Rejects when the worker has ended without being asked to; never resolves. */
  readonly failed: Promise<never>;
  private stopping = false;

  private constructor(
    /** The version of a deployment that it is; absent where versioning is off. */
    readonly version: SyncWorker['version'],
    private readonly running: Promise<void>,
    private readonly shutDown: () => void,
    private readonly disconnect: () => Promise<void>,
    /** Where it answers for those who watch it, as `http://127.0.0.1:9464`. */
    readonly watchUrl: string | undefined,
  ) {
    this.failed = new Promise<never>((_, reject) => {
      running.then(
        () => {
          if (!this.stopping) reject(new Error('The worker has ended.'));
        },
        (error: unknown) => {
          reject(asError(error));
        },
      );
    });
    this.failed.catch(() => undefined);
  }

  /** Connects and begins to work. */
  static async start(
    settings: Settings,
    { databaseUrl, temporalAddress }: ServiceAddresses,
    database: Database,
    log: 'stderr' | 'file',
  ): Promise<BackgroundWorker> {
    // Somebody looks at a worker that logs to stderr; any other is a part of a command.
    const address = log === 'stderr' ? settings.httpAddress : undefined;
    const sdkMetricsPort = address && (await findFreePort());
    await installRuntime(openLog(settings, log), sdkMetricsPort);
    const tracing = settings.tracing ? new (await import('../observability/tracing.js')).Tracing() : undefined;
    const { connection, namespace } = await connectWorker({ embeddedAddress: temporalAddress });
    const metrics = new WorkerMetrics();
    let watch: Watch | undefined;
    const disconnect = async () => {
      await watch?.close();
      await tracing?.close();
      await connection.close();
    };
    try {
      const storage = await openStorage(settings);
      const options = { settings, databaseUrl, database, storage, connection, namespace, metrics, tracing };
      const worker = await createWorker(options);
      if (address && sdkMetricsPort !== undefined) {
        const { watchWorker } = await import('../observability/watch-worker.js');
        const migrations = allMigrations(plugins).map(({ name }) => name);
        const state = () => worker.state;
        const watched = { metrics, state, connection, databaseUrl, migrations, sdkMetricsPort };
        watch = await watchWorker(address, storage, watched);
      }
      const stop = () => {
        worker.stop();
      };
      return new BackgroundWorker(worker.version, worker.run(), stop, disconnect, watch?.url);
    } catch (error) {
      await disconnect();
      throw error;
    }
  }

  /** Takes no more work, and returns once what is under way has ended or was given back. */
  async stop(): Promise<void> {
    if (!this.stopping) {
      this.stopping = true;
      try {
        this.shutDown();
      } catch {
        // It has ended by itself already.
      }
    }
    // Why it may have failed, `failed` tells.
    await this.running.catch(() => undefined);
    await this.disconnect().catch(() => undefined);
  }
}
