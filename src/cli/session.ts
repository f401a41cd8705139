import { setTimeout as sleep } from 'node:timers/promises';

import type { Client } from '@temporalio/client';

import { ServicesAlreadyRunning } from '../embedded/errors';
import type { RunningServices, ServiceAddresses } from '../embedded/services';
import { PenstockError } from '../errors';
import type { ServedContent } from '../content/serve';
import type { Database } from '../models/database';
import type { Settings } from '../settings';
import type { BackgroundWorker } from './background-worker';
import { ConnectionLost } from './exit-status';
import { applyMigrations, connectDatabase, requireSchema } from './schema';

/** Nothing runs that the command could use, and it does not start it. */
export class NothingRuns extends PenstockError {
  constructor(what: string) {
    super(
      `${what} needs running services, and none were found. Start them with "penstock up", or set DATABASE_URL and TEMPORAL_ADDRESS.`,
    );
  }
}

/** What a command needs. */
export interface SessionNeeds {
  readonly settings: Settings;
  /** For people: one line at a time. */
  readonly note: (line: string) => void;
  /** Whether Temporal is needed too, not just the database. */
  readonly temporal: boolean;
  /** Whether to start the embedded services where nothing runs; otherwise, what it is that needs them. */
  readonly start: true | { readonly for: string };
  /** Interrupts a start. */
  readonly signal?: AbortSignal;
}

/** Milliseconds to wait for services that another process is just starting or stopping. */
const handover = 60_000;

/**
 * PostgreSQL and, where needed, Temporal: given by address, run by another process on this machine, or started for as long as
 * the session is open.
 */
export class Session {
  private worker: BackgroundWorker | undefined;
  private contentApp: ServedContent | undefined;
  private closing: Promise<void> | undefined;

  private constructor(
    readonly settings: Settings,
    public addresses: ServiceAddresses,
    readonly database: Database,
    /** Temporal, where it is at hand. */
    public connected: Client | undefined,
    /** The services, where this session has started them. */
    readonly own: RunningServices | undefined,
  ) {}

  /** @throws {@link NothingRuns}, {@link DatabaseUnreachable}, {@link SchemaOutOfDate}, {@link TemporalUnreachable} */
  static async open(needs: SessionNeeds): Promise<Session> {
    const settings = needs.temporal ? needs.settings : { ...needs.settings, temporalGiven: true };
    const { addresses, own } = await acquire({ ...needs, settings });
    let database: Database | undefined;
    let client: Client | undefined;
    try {
      database = await connectDatabase(addresses.databaseUrl);
      if (settings.databaseUrl === undefined) await applyMigrations(database);
      else await requireSchema(database, settings.databaseUrl);
      if (needs.temporal) {
        // Here and below: a command loads only what it needs, so that it answers at once.
        const { connectClient, registerSearchAttributes } = await import('../temporal.js');
        client = await connectClient({ embeddedAddress: addresses.temporalAddress });
        if (addresses.temporalAddress !== undefined) await registerSearchAttributes(client);
      }
      return new Session(needs.settings, addresses, database, client, own);
    } catch (error) {
      await client?.connection.close();
      await database?.close();
      await own?.stop();
      throw error;
    }
  }

  /** Temporal; only where the session was opened with it. */
  get client(): Client {
    if (!this.connected) throw new Error('this session has no Temporal');
    return this.connected;
  }

  /** Temporal where it answers; `undefined` where it does not run, which says that no sync moves. */
  async clientIfRunning(): Promise<Client | undefined> {
    if (this.connected) return this.connected;
    const { connectClient } = await import('../temporal.js');
    if (!this.settings.temporalGiven) {
      const { findServices } = await import('../embedded/services.js');
      const found = this.own ? undefined : await findServices(this.settings);
      if (!found) return undefined;
      this.addresses = found;
    }
    const { temporalAddress } = this.addresses;
    this.connected = await connectClient({ embeddedAddress: temporalAddress }).catch(() => undefined);
    return this.connected;
  }

  /**
   * Makes sure that whoever runs the services is still there: the servers of a process that was killed go on, but nobody works.
   *
   * @throws {@link ConnectionLost}
   */
  async checkOwner(): Promise<void> {
    if (this.own || this.given) return;
    const { findServices } = await import('../embedded/services.js');
    if (await findServices(this.settings)) return;
    throw new ConnectionLost('The process that ran the services has ended.');
  }

  /** Whether everything is given by address. */
  get given(): boolean {
    return this.settings.databaseUrl !== undefined && this.settings.temporalGiven;
  }

  /** Runs a worker until the session is closed: services that this process has started have no other. */
  async startWorker(log: 'stderr' | 'file'): Promise<BackgroundWorker> {
    if (this.worker) return this.worker;
    const { BackgroundWorker } = await import('./background-worker.js');
    return (this.worker = await BackgroundWorker.start(this.settings, this.addresses, this.database, log));
  }

  /** Runs the content app until the session is closed. @throws {@link InvalidSetting} */
  async startContentApp(): Promise<ServedContent> {
    if (this.contentApp) return this.contentApp;
    const [{ serveContent }, { openLog }] = await Promise.all([import('../content/serve.js'), import('./logging.js')]);
    const { settings, addresses, database } = this;
    const logger = openLog(settings, 'stderr');
    return (this.contentApp = await serveContent({ settings, databaseUrl: addresses.databaseUrl, database, logger }));
  }

  /** Rejects when the services, or the worker, that this session runs have failed; never resolves. */
  get failed(): Promise<never> {
    const failures = [this.own?.failed, this.worker?.failed].filter((failure) => failure !== undefined);
    const failed = Promise.race(failures);
    failed.catch(() => undefined);
    return failed;
  }

  /** Ends what the session has started, and its connections. Safe to call twice. */
  close(): Promise<void> {
    return (this.closing ??= this.end());
  }

  private async end(): Promise<void> {
    try {
      await Promise.all([this.worker?.stop(), this.contentApp?.close()]);
    } finally {
      await Promise.allSettled([this.connected?.connection.close(), this.database.close()]);
      await this.own?.stop();
    }
  }
}

interface Acquired {
  readonly addresses: ServiceAddresses;
  readonly own?: RunningServices;
}

/** Services that are given or found; else started here, by whoever is first. */
async function acquire({ settings, start, note, signal }: SessionNeeds): Promise<Acquired> {
  const { databaseUrl, temporalGiven } = settings;
  if (databaseUrl !== undefined && temporalGiven) {
    return { addresses: { databaseUrl, temporalAddress: undefined, uiAddress: undefined } };
  }
  const { findServices, startServices } = await import('../embedded/services.js');
  const deadline = Date.now() + handover;
  for (;;) {
    const found = await findServices(settings);
    if (found) return { addresses: found };
    if (start !== true) throw new NothingRuns(start.for);
    try {
      const own = await startServices(settings, { log: note, ...(signal ? { signal } : {}) });
      return { addresses: own, own };
    } catch (error) {
      if (!(error instanceof ServicesAlreadyRunning) || Date.now() > deadline) throw error;
      signal?.throwIfAborted();
      await sleep(200);
    }
  }
}
