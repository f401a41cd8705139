import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Settings } from '../settings';
import { DataLock } from './data-lock';
import { ServicesAlreadyRunning } from './errors';
import { isListening, LOOPBACK } from './ports';
import { startPostgres, type RunningPostgres } from './postgres';
import { isRunning, type ProcessIdentity } from './process-table';
import { Supervised } from './supervised';
import { findTemporalCli } from './temporal-cli';
import { startTemporal, type RunningTemporal } from './temporal';

/** The settings that decide about embedded services. */
export type ServiceSettings = Pick<Settings, 'dataDir' | 'databaseUrl' | 'temporalGiven' | 'ports'>;

/** Where the services are. */
export interface ServiceAddresses {
  /** PostgreSQL: the embedded one, or the given one. Holds a password. */
  readonly databaseUrl: string;
  /** The embedded Temporal, `host:port`; undefined where Temporal is given by address. */
  readonly temporalAddress: string | undefined;
  /** The url of the embedded Temporal's Web UI; undefined where Temporal is given by address. */
  readonly uiAddress: string | undefined;
}

/** Services that this process runs. */
export interface RunningServices extends ServiceAddresses {
  /** Ends what was started, Temporal first. Nothing is left that keeps the process alive. Safe to call twice. */
  stop(): Promise<void>;
  /** Kills what was started, at once and as a crash would: for a process that is just ending. */
  kill(): void;
  /** Rejects when an embedded service ended and could not be started again; never resolves. */
  readonly failed: Promise<never>;
}

/** How to start services. */
export interface StartServicesOptions {
  /** For a person: one line at a time. */
  readonly log: (line: string) => void;
  /** Interrupts the start; what was started until then is ended, and the start rejects. */
  readonly signal?: AbortSignal;
  /** False for throwaway data only, in tests: PostgreSQL then does not wait for the disk. */
  readonly durable?: boolean;
  /** Where a downloaded or built Temporal CLI is kept, instead of below the data folder. */
  readonly binDir?: string;
}

interface StateFile {
  readonly owner: ProcessIdentity;
  readonly postgres?: { readonly port: number; readonly url: string };
  readonly temporal?: { readonly port: number; readonly uiPort: number };
}

const stateFile = ({ dataDir }: ServiceSettings) => join(dataDir, 'services.json');

/**
 * Starts the services that are not given by address, on the data below `settings.dataDir`. One process at a time runs them for a data
 * folder; others find them by {@link findServices}. A service that ends while it should run is started again some times.
 *
 * The caller handles signals: the servers do not get the terminal's Ctrl-C.
 *
 * @throws {@link ServicesAlreadyRunning}, {@link PortUnavailable}, {@link ServiceNotInstalled},
 *   {@link DataFolderUnusable}, {@link ServiceFailed}
 */
export async function startServices(
  settings: ServiceSettings,
  options: StartServicesOptions,
): Promise<RunningServices> {
  const { dataDir, databaseUrl, temporalGiven } = settings;
  if (databaseUrl !== undefined && temporalGiven) {
    return {
      ...addresses(settings, {}),
      stop: () => Promise.resolve(),
      kill: () => undefined,
      failed: new Promise<never>(() => undefined),
    };
  }

  const lock = await takeLock(settings);
  const started: Supervised[] = [];
  const stop = async () => {
    // In the order in which they depend on each other: a worker's last heartbeats go to Temporal first.
    for (const service of started.splice(0).reverse()) await service.stop();
    await rm(stateFile(settings), { force: true });
    await lock.release();
  };
  try {
    await mkdir(join(dataDir, 'logs'), { recursive: true });
    const [postgres, temporal] = await startBoth(settings, options, started);
    options.signal?.throwIfAborted();
    const found = {
      ...(postgres ? { postgres: { port: postgres.port, url: postgres.url } } : {}),
      ...(temporal ? { temporal: { port: temporal.port, uiPort: temporal.uiPort } } : {}),
    };
    await writeState(settings, found);
    const failed = Promise.race(started.map((service) => service.failed));
    failed.catch(() => undefined);
    let stopped: Promise<void> | undefined;
    const kill = () => {
      for (const service of started) service.kill();
    };
    return { ...addresses(settings, found), stop: () => (stopped ??= stop()), kill, failed };
  } catch (error) {
    await stop();
    // Programs that were interrupted as well have errors of their own, which do not matter then.
    options.signal?.throwIfAborted();
    throw error;
  }
}

async function startBoth(
  { dataDir, databaseUrl, temporalGiven, ports }: ServiceSettings,
  { log, signal, durable = true, binDir = join(dataDir, 'bin') }: StartServicesOptions,
  started: Supervised[],
): Promise<[RunningPostgres | undefined, RunningTemporal | undefined]> {
  const failure = new AbortController();
  const either = signal ? AbortSignal.any([signal, failure.signal]) : failure.signal;
  const logPath = (name: string) => join(dataDir, 'logs', `${name}.log`);
  const postgres = async () => {
    if (databaseUrl !== undefined) return undefined;
    const options = { home: join(dataDir, 'postgres'), logPath: logPath('postgres'), durable, log, signal: either };
    const running = await startPostgres({ ...options, port: ports.postgres });
    const again = async (stopping: AbortSignal) =>
      (await startPostgres({ ...options, signal: stopping, port: running.port })).process;
    started.unshift(new Supervised(running.process, 'PostgreSQL', again, log));
    return running;
  };
  const temporal = async () => {
    if (temporalGiven) return undefined;
    const executable = await findTemporalCli({ binDir, log, signal: either });
    const options = { home: join(dataDir, 'temporal'), logPath: logPath('temporal'), executable, log, signal: either };
    const running = await startTemporal({ ...options, port: ports.temporal, uiPort: ports.ui });
    const again = async (stopping: AbortSignal) =>
      (await startTemporal({ ...options, signal: stopping, port: running.port, uiPort: running.uiPort })).process;
    started.push(new Supervised(running.process, 'Temporal', again, log));
    return running;
  };
  const running = [postgres(), temporal()] as const;
  try {
    return await Promise.all(running);
  } catch (error) {
    failure.abort(error);
    // Also the other one is to be known before it can be ended.
    await Promise.allSettled(running);
    throw error;
  }
}

async function takeLock(settings: ServiceSettings): Promise<DataLock> {
  const { dataDir } = settings;
  // Root's PostgreSQL runs as another user, which passes through this folder; what needs to be secret in it is itself closed.
  await mkdir(dataDir, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 }).catch(() => undefined);
  const lock = await DataLock.take(dataDir);
  if (lock instanceof DataLock) return lock;
  throw new ServicesAlreadyRunning(
    `The services of ${dataDir} are run by another process of Penstock (pid ${lock.pid}). ` +
      'Use them while it runs, stop it, or set PENSTOCK_DATA to another folder.',
    { path: dataDir, pid: lock.pid },
  );
}

/**
 * Finds the services that another process runs for this data folder, or the given ones. A service that is just being started again is
 * waited for, some seconds.
 *
 * @returns undefined where they do not run.
 */
export async function findServices(settings: ServiceSettings): Promise<ServiceAddresses | undefined> {
  if (settings.databaseUrl !== undefined && settings.temporalGiven) return addresses(settings, {});
  const deadline = Date.now() + 5_000;
  while (Date.now() < deadline) {
    const state = await readState(settings);
    if (!state || !(await isRunning(state.owner))) return undefined;
    const needed = [
      ...(settings.databaseUrl === undefined ? [state.postgres?.port] : []),
      ...(settings.temporalGiven ? [] : [state.temporal?.port]),
    ];
    if (needed.includes(undefined)) return undefined;
    const listening = await Promise.all(needed.map((port = 0) => isListening(port)));
    if (listening.every(Boolean)) return addresses(settings, state);
    await sleep(100);
  }
  return undefined;
}

function addresses(settings: ServiceSettings, state: Omit<StateFile, 'owner'>): ServiceAddresses {
  const { temporal } = settings.temporalGiven ? {} : state;
  return {
    databaseUrl: settings.databaseUrl ?? state.postgres?.url ?? '',
    temporalAddress: temporal && `${LOOPBACK}:${temporal.port}`,
    uiAddress: temporal && `http://${LOOPBACK}:${temporal.uiPort}`,
  };
}

async function readState(settings: ServiceSettings): Promise<StateFile | undefined> {
  try {
    return JSON.parse(await readFile(stateFile(settings), 'utf8')) as StateFile;
  } catch {
    return undefined;
  }
}

async function writeState(settings: ServiceSettings, found: Omit<StateFile, 'owner'>): Promise<void> {
  const path = stateFile(settings);
  const owner = await DataLock.owner(settings.dataDir);
  await writeFile(`${path}.new`, JSON.stringify({ owner, ...found }), { mode: 0o600 });
  await rename(`${path}.new`, path);
}
