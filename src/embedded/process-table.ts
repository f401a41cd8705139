import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** One process and no other: a pid is used again sooner or later, a pid together with its start is not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** The boot and the tick at which it started (Linux), or a date (elsewhere): only ever compared. */
  readonly started: string;
}

/** A running process and its command line. */
export interface RunningProcess extends ProcessIdentity {
  readonly argv: readonly string[];
}

/** Signals to send one after the other, and the milliseconds to wait for the end after each. */
export type EndingSignals = readonly (readonly [signal: NodeJS.Signals, patienceMs: number])[];

const hasProc = process.platform === 'linux';

/** When the process with this pid started; undefined if there is none, or if it is a zombie. */
async function startOf(pid: number): Promise<string | undefined> {
  if (!hasProc) {
    const { stdout } = await run('ps', ['-p', String(pid), '-o', 'lstart=']).catch(() => ({ stdout: '' }));
    return stdout.trim() || undefined;
  }
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // proc_pid_stat(5): the name, in parentheses, may hold anything; then state (3rd field) … starttime (22nd).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
    return `${boot.trim()}/${fields[19] ?? ''}`;
  } catch {
    return undefined;
  }
}

/** Identifies a process; undefined if there is none with this pid. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const started = await startOf(pid);
  return started === undefined ? undefined : { pid, started };
}

/** Whether exactly this process still runs. */
export async function isRunning({ pid, started }: ProcessIdentity): Promise<boolean> {
  return (await startOf(pid)) === started;
}

/** The running processes whose command line satisfies `matches`, this one excepted. */
export async function findProcesses(
  matches: (argv: readonly string[], pid: number) => boolean,
): Promise<RunningProcess[]> {
  const found: RunningProcess[] = [];
  for (const { pid, argv } of hasProc ? await readProc() : await readPs()) {
    if (pid === process.pid || !matches(argv, pid)) continue;
    const identity = await identify(pid);
    if (identity) found.push({ ...identity, argv });
  }
  return found;
}

async function readProc(): Promise<{ pid: number; argv: string[] }[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  return Promise.all(
    pids.map(async (pid) => {
      // A program that rewrites its title (PostgreSQL) pads it with NUL; a process that ended meanwhile has none.
      const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return { pid, argv: line.replace(/\0+$/, '').split('\0') };
    }),
  );
}

async function readPs(): Promise<{ pid: number; argv: string[] }[]> {
  const { stdout } = await run('ps', ['-axww', '-o', 'pid=,args='], { maxBuffer: 64 * 1024 * 1024 });
  return stdout.split('\n').map((line) => {
    const [pid, ...argv] = line.trim().split(/\s+/);
    return { pid: Number(pid), argv };
  });
}

/**
 * Ends a process, gently at first. Before each signal it is checked that the pid still is that process.
 *
 * @returns whether it has ended.
 */
export async function endProcess(target: ProcessIdentity, signals: EndingSignals): Promise<boolean> {
  for (const [signal, patienceMs] of signals) {
    if (!(await isRunning(target))) return true;
    try {
      process.kill(target.pid, signal);
    } catch {
      // It has just ended, or belongs to somebody else: which of the two is seen below.
    }
    const deadline = Date.now() + patienceMs;
    while (Date.now() < deadline) {
      if (!(await isRunning(target))) return true;
      await sleep(20);
    }
  }
  return !(await isRunning(target));
}
