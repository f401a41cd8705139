import { mkdir, readFile, realpath, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { ServiceFailed } from './errors';
import { claimPort, LOOPBACK } from './ports';
import { DATABASE, findBinaries, preparePostgresFiles } from './postgres-files';
import { postgresSettings } from './postgres-settings';
import { postgresEnvironment, preparePostgresUser } from './postgres-user';
import { endProcess, findProcesses, type EndingSignals } from './process-table';
import { ServerProcess } from './server-process';

/** A server is asked to end by a fast shutdown, then by an immediate one, from which it recovers when it is started. */
const STOP: EndingSignals = [
  ['SIGINT', 60_000],
  ['SIGQUIT', 10_000],
  ['SIGKILL', 10_000],
];

/** What is left of a killed server: SIGTERM to a single backend ends its session. */
const STOP_BACKEND: EndingSignals = [
  ['SIGTERM', 5_000],
  ['SIGQUIT', 2_000],
  ['SIGKILL', 5_000],
];

/** Recovery after a crash reads at most `max_wal_size`; a slow disk may take minutes for it. */
const READY_WITHIN_MS = 15 * 60_000;

/** How to run the embedded PostgreSQL. */
export interface PostgresOptions {
  /** Everything that is PostgreSQL's lies below this folder. */
  readonly home: string;
  readonly logPath: string;
  /** 0: any free one. */
  readonly port: number;
  /** False for throwaway data only. */
  readonly durable: boolean;
  readonly log: (line: string) => void;
  /** Interrupts the start. */
  readonly signal?: AbortSignal | undefined;
}

/** A PostgreSQL that accepts connections. */
export interface RunningPostgres {
  readonly port: number;
  /** The url of the database `penstock`, with its password. */
  readonly url: string;
  readonly process: ServerProcess;
}

/**
 * Starts PostgreSQL on its data below `home`, which is made at the first start. What an earlier one left behind is
 * cleared away first: a server whose Penstock was killed, backends whose server was killed, a stale `postmaster.pid`.
 * The caller sees to it that nobody else starts one on the same folder ({@link DataLock}).
 *
 * @throws {@link PortUnavailable}, {@link DataFolderUnusable}, {@link ServiceNotInstalled}, {@link ServiceFailed}
 */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const { log, durable } = options;
  await mkdir(dirname(options.home), { recursive: true });
  const home = join(await realpath(dirname(options.home)), basename(options.home));
  const binaries = findBinaries();
  const user = await preparePostgresUser(home, binaries.postgres);
  const name = await clusterName(home);
  await endOrphans(home, name, log);
  const { dataDir, password } = await preparePostgresFiles(home, binaries, user, { durable, log });
  await removeStalePidFile(dataDir);
  const port = await claimPort({ port: options.port, variable: 'PENSTOCK_POSTGRES_PORT', service: 'PostgreSQL' });

  const settings = { ...postgresSettings({ durable }), port: String(port), cluster_name: name };
  const [command = '', ...args] = [
    ...user.prefix,
    ...[binaries.postgres, '-D', dataDir],
    ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
  ];
  const server = new ServerProcess({
    service: 'PostgreSQL',
    command,
    args,
    cwd: dataDir,
    env: postgresEnvironment(),
    logPath: options.logPath,
    stopSignals: STOP,
  });
  const slow = setTimeout(() => {
    log('PostgreSQL recovers from an earlier crash; this may take some minutes.');
  }, 10_000).unref();
  try {
    await server.untilReady(() => isReady(dataDir, server.pid), READY_WITHIN_MS, options.signal);
  } finally {
    clearTimeout(slow);
  }
  return { port, url: `postgresql://${DATABASE}:${password}@${LOOPBACK}:${port}/${DATABASE}`, process: server };
}

/** As `pg_ctl` does it: the first line of postmaster.pid is the server's pid, the eighth its state. */
async function isReady(dataDir: string, pid: number | undefined): Promise<boolean> {
  const lines = (await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
  return lines[0] === String(pid) && lines[7]?.trim() === 'ready';
}

/** A name that stands in the title of every backend, and is that of one folder on this machine. */
async function clusterName(home: string): Promise<string> {
  const { dev, ino } = await stat(home);
  return `penstock-${dev.toString(36)}-${ino.toString(36)}`;
}

async function endOrphans(home: string, name: string, log: (line: string) => void): Promise<void> {
  const isServer = (argv: readonly string[]) => isPostgres(argv) && argv.includes(`cluster_name=${name}`);
  const isBackend = (argv: readonly string[]) => argv.join(' ').startsWith(`postgres: ${name}: `);
  for (const [matches, signals] of [
    [isServer, STOP],
    [isBackend, STOP_BACKEND],
  ] as const) {
    const orphans = await findProcesses(matches);
    if (orphans.length > 0) log('Ending a PostgreSQL that was left behind when Penstock was killed.');
    const ended = await Promise.all(orphans.map((orphan) => endProcess(orphan, signals)));
    const left = orphans.filter((_, index) => !ended[index]).map(({ pid }) => pid);
    if (left.length > 0) {
      throw new ServiceFailed(
        `A PostgreSQL that was left behind on ${home} cannot be ended: pid ${left.join(', ')}. End it, then try again.`,
        { path: home },
      );
    }
  }
}

function isPostgres([program = '']: readonly string[]): boolean {
  return basename(program) === 'postgres' || program.startsWith('postgres: ');
}

/**
 * PostgreSQL itself clears away the pid file of a server that crashed, unless the pid belongs to another process by
 * now, as it happens in containers, where pids are few; or unless the file is empty, as after a crash of the machine. None of ours
 * runs when this is called. A PostgreSQL that somebody started by hand keeps its file, and ours then refuses to start.
 */
async function removeStalePidFile(dataDir: string): Promise<void> {
  const path = join(dataDir, 'postmaster.pid');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return;
  const pid = Number.parseInt(text, 10);
  const [holder] = await findProcesses((argv, candidate) => candidate === pid && isPostgres(argv));
  if (!holder) await rm(path, { force: true });
}
