import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { createDatabase } from '../services/database';
import type { TestDatabase } from '../services/database';

/** The built command line. */
export const program = resolve(__dirname, '../../dist/src/cli/main.js');

/** What a command has printed, and how it has ended. */
export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The built command line, run as real processes with an environment of their own. */
export class PenstockCommand {
  private readonly running = new Set<RunningCommand>();

  private constructor(
    readonly folder: string,
    readonly env: Readonly<Record<string, string>>,
    private readonly database: TestDatabase | undefined,
  ) {}

  /** With the PostgreSQL and the Temporal of all tests: a database, a task queue and folders of its own. */
  static async withGivenServices(): Promise<PenstockCommand> {
    const folder = await mkdtemp(join(tmpdir(), 'penstock-cli-'));
    const database = await createDatabase();
    return new PenstockCommand(
      folder,
      {
        ...clean(),
        ...folders(folder),
        DATABASE_URL: database.url,
        TEMPORAL_ADDRESS: process.env.PENSTOCK_TEST_TEMPORAL_ADDRESS ?? '',
        PENSTOCK_TASK_QUEUE: `cli-${folder.slice(-6)}`,
      },
      database,
    );
  }

  /** With nothing but a data folder. */
  static async withNothing(env: Readonly<Record<string, string>>): Promise<PenstockCommand> {
    const folder = await mkdtemp(join(tmpdir(), 'penstock-cli-'));
    return new PenstockCommand(folder, { ...clean(), ...folders(folder), ...env }, undefined);
  }

  /** Runs a command to its end. */
  async run(args: readonly string[], more: { env?: Record<string, string>; stdin?: string } = {}): Promise<Ended> {
    return this.start(args, more).ended();
  }

  /** Runs a command that has to succeed, and reads the JSON that it prints. */
  async json<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    const { status, stdout, stderr } = await this.run([...args, '--json']);
    if (status !== 0) throw new Error(`penstock ${args.join(' ')} ended with ${String(status)}: ${stdout}${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** Starts a command. */
  start(
    args: readonly string[],
    { env = {}, stdin }: { env?: Record<string, string>; stdin?: string } = {},
  ): RunningCommand {
    const child = spawn(process.execPath, [program, ...args], { env: { ...this.env, ...env }, cwd: this.folder });
    child.stdin.end(stdin);
    const command = new RunningCommand(child);
    this.running.add(command);
    return command;
  }

  /** Ends what still runs, and removes folder and database. */
  async remove(): Promise<void> {
    for (const command of this.running) await command.stop();
    await this.database?.drop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A command that runs. */
export class RunningCommand {
  stdout = '';
  stderr = '';
  private readonly closed: Promise<unknown>;

  constructor(readonly child: ChildProcess) {
    child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.closed = once(child, 'close');
  }

  async ended(): Promise<Ended> {
    await this.closed;
    return { status: this.child.exitCode, stdout: this.stdout, stderr: this.stderr };
  }

  /** Waits until it has printed this, on stdout or stderr. */
  async printed(text: string): Promise<void> {
    while (!`${this.stdout}${this.stderr}`.includes(text)) {
      if (this.child.exitCode !== null) throw new Error(`It ended without "${text}": ${this.stdout}${this.stderr}`);
      await sleep(20);
    }
  }

  async signal(name: NodeJS.Signals): Promise<Ended> {
    this.child.kill(name);
    return this.ended();
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) await this.signal('SIGTERM');
  }
}

/** The lines of JSON that a command has printed. */
export function events(stdout: string): (Record<string, unknown> & { readonly event: string })[] {
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown> & { readonly event: string });
}

function folders(folder: string): Record<string, string> {
  return {
    PENSTOCK_DATA: join(folder, 'data'),
    PENSTOCK_STORAGE: `file://${join(folder, 'storage')}`,
    PENSTOCK_CONTENT_ADDRESS: '127.0.0.1:0',
  };
}

/** This environment without what decides about services. */
function clean(): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(PENSTOCK_|TEMPORAL_|DATABASE_URL|NO_COLOR|FORCE_COLOR)/.test(name),
  );
  return Object.fromEntries(kept.map(([name, value]) => [name, value ?? '']));
}
