import type { ServiceAddresses } from '../embedded/services';
import { asError } from '../errors';
import type { Database } from '../models/database';
import type { Settings } from '../settings';
import { connectWorker } from '../temporal';
import { createWorker } from '../worker';
import { installRuntime, openLog } from './logging';

/** A worker in this process. */
export class BackgroundWorker {
  /** Rejects when the worker has ended without being asked to; never resolves. */
  readonly failed: Promise<never>;
  private stopping = false;

  private constructor(
    private readonly running: Promise<void>,
    private readonly shutDown: () => void,
    private readonly disconnect: () => Promise<void>,
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
    const logger = openLog(settings, log);
    await installRuntime(logger);
    const { connection, namespace } = await connectWorker({ embeddedAddress: temporalAddress });
    try {
      const worker = await createWorker({ settings, databaseUrl, database, connection, namespace, logger });
      return new BackgroundWorker(
        worker.run(),
        () => {
          worker.stop();
        },
        () => connection.close(),
      );
    } catch (error) {
      await connection.close();
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
