import { mkdir, realpath, rename, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { Connection } from '@temporalio/client';

import { ServiceFailed } from './errors';
import { claimPort, isListening, LOOPBACK } from './ports';
import { endProcess, findProcesses, type EndingSignals } from './process-table';
import { ServerProcess } from './server-process';

const STOP: EndingSignals = [
  ['SIGINT', 15_000],
  ['SIGKILL', 10_000],
];
const READY_WITHIN_MS = 120_000;

/** What SQLite says of a file that is none, or not one any more. */
const CORRUPT = /file is not a database|database disk image is malformed/;

/** How to run the embedded Temporal. */
export interface TemporalOptions {
  /** Everything that is Temporal's lies below this folder. */
  readonly home: string;
  readonly logPath: string;
  /** The Temporal CLI. */
  readonly executable: string;
  /** 0: any free one. */
  readonly port: number;
  /** 0: any free one. */
  readonly uiPort: number;
  readonly log: (line: string) => void;
  /** Interrupts the start. */
  readonly signal?: AbortSignal | undefined;
}

/** A Temporal server that answers, with its namespace `default`. */
export interface RunningTemporal {
  readonly port: number;
  readonly uiPort: number;
  readonly process: ServerProcess;
}

/**
 * Starts Temporal's dev server on its SQLite file below `home`. One that was left behind on the same file is ended
 * first. The caller sees to it that nobody else starts one on it ({@link DataLock}).
 *
 * What a sync has done is in PostgreSQL, and a sync whose workflow is gone goes on from there when it is asked for again. So a file that
 * SQLite cannot read is put aside with a word to the user, and Temporal starts with an empty one.
 *
 * @throws {@link PortUnavailable}, {@link ServiceFailed}
 */
export async function startTemporal(options: TemporalOptions): Promise<RunningTemporal> {
  const { log } = options;
  await mkdir(options.home, { recursive: true, mode: 0o700 });
  const file = join(await realpath(options.home), 'temporal.db');
  await endOrphans(file, log);
  const service = 'Temporal';
  const port = await claimPort({ port: options.port, variable: 'PENSTOCK_TEMPORAL_PORT', service });
  const uiPort = await claimPort({
    port: options.uiPort,
    variable: 'PENSTOCK_TEMPORAL_UI_PORT',
    service: "Temporal's Web UI",
  });
  const server = run({ ...options, port, uiPort }, file);
  try {
    await server.untilReady(() => answers(port), READY_WITHIN_MS, options.signal);
  } catch (error) {
    if (!CORRUPT.test(server.log.tail(200)) || !(await putAside(file))) throw error;
    log(
      `Temporal's database cannot be read and was put aside as ${file}.corrupt. Temporal starts with an empty one: what has been ` +
        'synced is kept, and a sync that was running goes on when it is started again.',
    );
    return startTemporal(options);
  }
  return { port, uiPort, process: server };
}

function run({ executable, port, uiPort, logPath }: TemporalOptions, file: string): ServerProcess {
  // Variables such as TEMPORAL_TLS are for clients of other servers; the CLI would read them.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TEMPORAL_')));
  return new ServerProcess({
    service: 'Temporal',
    command: executable,
    args: [
      ...['server', 'start-dev', '--headless=false', '--ip', LOOPBACK],
      ...['--port', String(port), '--ui-port', String(uiPort), '--db-filename', file],
      // Twice as fast as SQLite's own defaults, and no crash of Temporal loses anything. A crash of the machine may lose
      // the last moments, which are then done again.
      ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=normal'],
      ...['--dynamic-config-value', 'system.enableActivityEagerExecution=true'],
      ...['--log-level', 'warn', '--color', 'never'],
    ],
    cwd: dirname(file),
    env,
    logPath,
    stopSignals: STOP,
  });
}

/** Whether the server answers for its namespace. */
async function answers(port: number): Promise<boolean> {
  // A client that is refused once waits for a second before it tries again.
  if (!(await isListening(port))) return false;
  try {
    const connection = await Connection.connect({ address: `${LOOPBACK}:${port}`, connectTimeout: 2_000 });
    try {
      await connection.withDeadline(Date.now() + 5_000, () =>
        connection.workflowService.describeNamespace({ namespace: 'default' }),
      );
    } finally {
      await connection.close();
    }
    return true;
  } catch {
    return false;
  }
}

async function endOrphans(file: string, log: (line: string) => void): Promise<void> {
  const orphans = await findProcesses(([program = '', command, ...args]) => {
    const isServer = basename(program).startsWith('temporal') && command === 'server' && args[0] === 'start-dev';
    return isServer && args[args.indexOf('--db-filename') + 1] === file;
  });
  for (const orphan of orphans) {
    log('Ending a Temporal server that was left behind when Penstock was killed.');
    if (await endProcess(orphan, STOP)) continue;
    throw new ServiceFailed(
      `A Temporal server that was left behind on ${file} cannot be ended: pid ${orphan.pid}. End it, then try again.`,
      { path: file },
    );
  }
}

/** Renames the database and what belongs to it; an earlier one that was put aside is replaced. False: there is none. */
async function putAside(file: string): Promise<boolean> {
  const exists = await stat(file).catch(() => undefined);
  if (!exists) return false;
  for (const suffix of ['', '-wal', '-shm']) {
    await rename(`${file}${suffix}`, `${file}.corrupt${suffix}`).catch(() => undefined);
  }
  return true;
}
