import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { RunningCommand } from '../../cli/penstock-command';
import type { Ended } from '../../cli/penstock-command';
import { Penstock } from '../../harness/penstock';
import type { Services } from './services';

const program = join(__dirname, '..', '..', '..', 'src', 'cli', 'main.js');

/** A Penstock of one round: a database, a storage and a task queue of its own, and real processes that use them. */
export class Installation {
  readonly workers: RunningCommand[] = [];
  private readonly running = new Set<RunningCommand>();
  private readonly env: Record<string, string>;

  private constructor(readonly penstock: Penstock) {
    const { settings, testDatabase, temporalAddress } = penstock;
    this.env = {
      PATH: process.env.PATH ?? '',
      DATABASE_URL: testDatabase.url,
      TEMPORAL_ADDRESS: temporalAddress,
      PENSTOCK_DATA: settings.dataDir,
      PENSTOCK_TASK_QUEUE: settings.taskQueue,
    };
  }

  static async start({ databaseUrl, temporalAddress }: Services): Promise<Installation> {
    return new Installation(await Penstock.start({ worker: false, services: { databaseUrl, temporalAddress } }));
  }

  get storageDir(): string {
    return this.penstock.storageDir;
  }

  /** Starts a command of the built command line. */
  start(...args: readonly string[]): RunningCommand {
    const child = spawn(process.execPath, [program, ...args], { env: this.env, stdio: ['ignore', 'pipe', 'pipe'] });
    const command = new RunningCommand(child);
    this.running.add(command);
    child.once('exit', () => this.running.delete(command));
    return command;
  }

  /** Runs a command to its end. */
  run(...args: readonly string[]): Promise<Ended> {
    return this.start(...args).ended();
  }

  /** Starts a worker, and waits until it polls. */
  async startWorker(): Promise<void> {
    const worker = this.start('worker');
    this.workers.push(worker);
    await worker.printed('polls task queue');
  }

  /** `kill -9` of the worker that has run longest. */
  async killWorker(): Promise<void> {
    await this.workers.shift()?.signal('SIGKILL');
  }

  /** What its workers have said last. */
  lastWords(): string[] {
    return this.workers.map(({ child, stderr }) => `  Worker ${child.pid ?? 0}: ${stderr.slice(-1000)}`);
  }

  /** What workers said that have ended although nobody asked them to. */
  get endedWorkers(): string[] {
    return this.workers.filter(({ child }) => hasEnded(child)).map(({ stderr }) => stderr.slice(-2000));
  }

  /** Ends all of its processes, also those that stand still. */
  async endProcesses(): Promise<void> {
    this.killNow();
    await Promise.all([...this.running].map((command) => command.ended()));
  }

  /** For a process that is just ending. */
  killNow(): void {
    for (const { child } of this.running) child.kill('SIGKILL');
  }

  /** Removes what it has, once its processes have ended. */
  remove(): Promise<void> {
    return this.penstock.stop();
  }
}

/** @throws where the command line was not built */
export function requireProgram(): void {
  if (!existsSync(program)) throw new Error(`There is no ${program}: build first.`);
}

function hasEnded({ exitCode, signalCode }: RunningCommand['child']): boolean {
  return exitCode !== null || signalCode !== null;
}
