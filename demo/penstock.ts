import { spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, symlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

import { aborted } from '../src/cli/signals';
import { claimPort } from '../src/embedded/ports';
import { findTemporalCli } from '../src/embedded/temporal-cli';
import { asError } from '../src/errors';

const program = join(__dirname, '..', 'src', 'cli', 'main.js');

/** A command of Penstock has not ended as the demo needs it; the command itself has said why. */
export class CommandFailed extends Error {
  constructor(command: string, status: number | null) {
    super(`"penstock ${command}" ended with status ${status ?? 'unknown'}.`);
  }
}

/** Shows what is run, and what it says. */
export interface Screen {
  command(line: string): void;
  output(line: string): void;
}

/** Penstock's command line, as somebody at a terminal uses it, with embedded services and data of its own. */
export class Penstock {
  /** Rejects when the services have ended; never resolves. */
  failed = new Promise<never>(() => undefined);
  private services: ChildProcess | undefined;
  private stopping = false;

  private constructor(
    private readonly env: NodeJS.ProcessEnv,
    private readonly screen: Screen,
    private readonly signal: AbortSignal,
  ) {}

  /** Prepares the data folder: the standard ports where they are free, and the Temporal CLI from wherever it is. */
  static async prepare(dataDir: string, screen: Screen, signal: AbortSignal): Promise<Penstock> {
    await provideTemporalCli(join(dataDir, 'bin'), screen, signal);
    const env: NodeJS.ProcessEnv = {
      // What points to other services or another place would take the demo there.
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(TEMPORAL_|DATABASE_URL)/.test(name))),
      PENSTOCK_DATA: dataDir,
      PENSTOCK_STORAGE: '',
      PENSTOCK_POSTGRES_PORT: await freePort('PENSTOCK_POSTGRES_PORT', 15432),
      PENSTOCK_TEMPORAL_PORT: await freePort('PENSTOCK_TEMPORAL_PORT', 17233),
      PENSTOCK_CONTENT_ADDRESS: '127.0.0.1:0',
      PENSTOCK_TEMPORAL_UI_PORT: await freePort('PENSTOCK_TEMPORAL_UI_PORT', 18233),
    };
    return new Penstock(env, screen, signal);
  }

  /** Starts the services and a worker; resolves once they are ready. */
  async up(): Promise<void> {
    this.screen.command('penstock up');
    const services = this.start(['up'], ['ignore', 'pipe', 'pipe']);
    this.services = services;
    this.failed = once(services, 'exit').then(([status]) => {
      throw new CommandFailed('up', status as number | null);
    });
    this.failed.catch(() => undefined);
    const ready = new Promise<void>((resolve) => {
      for (const stream of [services.stdout, services.stderr]) {
        if (!stream) continue;
        createInterface(stream).on('line', (line) => {
          if (line.startsWith('Ready.')) resolve();
          else if (line !== '' && !this.stopping) this.screen.output(line);
        });
      }
    });
    await Promise.race([ready, this.failed, aborted(this.signal)]);
    this.signal.throwIfAborted();
  }

  /** Runs a command that shows what it does itself. */
  async run(...args: string[]): Promise<void> {
    this.screen.command(`penstock ${args.join(' ')}`);
    await this.end(args, this.start(args, ['ignore', 'inherit', 'inherit']));
  }

  /** Runs a command for what it answers. */
  async ask(...args: string[]): Promise<Readonly<Record<string, unknown>>> {
    const child = this.start([...args, '--json'], ['ignore', 'pipe', 'inherit']);
    if (!child.stdout) throw new Error('its output is piped');
    const [answer, ended] = await Promise.allSettled([text(child.stdout), this.end(args, child)]);
    const said = answer.status === 'fulfilled' ? answer.value : '';
    if (ended.status === 'fulfilled') return JSON.parse(said) as Readonly<Record<string, unknown>>;
    this.screen.output(said.trim());
    throw ended.reason;
  }

  /** Stops the services, and waits for their end. Safe to call twice. */
  async down(): Promise<void> {
    const { services } = this;
    if (services?.exitCode !== null || services.signalCode !== null) return;
    this.stopping = true;
    const ended = once(services, 'exit');
    services.kill('SIGTERM');
    await ended;
  }

  /** Ends the services at once: they take a second signal so. */
  kill(): void {
    this.services?.kill('SIGINT');
  }

  /** In a group of its own: Ctrl-C reaches the demo alone, which then ends its commands in their order. */
  private start(args: readonly string[], stdio: StdioOptions): ChildProcess {
    this.signal.throwIfAborted();
    return spawn(process.execPath, [program, ...args], { env: this.env, stdio, detached: true });
  }

  private async end(args: readonly string[], child: ChildProcess): Promise<void> {
    const interrupt = () => child.kill('SIGINT');
    this.signal.addEventListener('abort', interrupt, { once: true });
    const [status] = (await once(child, 'exit')) as [number | null];
    this.signal.removeEventListener('abort', interrupt);
    this.signal.throwIfAborted();
    if (status !== 0) throw new CommandFailed(args.join(' '), status);
  }
}

/** The port that the user has set or the standard one, where it is free; else any. */
async function freePort(variable: string, standard: number): Promise<string> {
  const service = 'the demo';
  const wanted = Number(process.env[variable] ?? '') || standard;
  const port = await claimPort({ port: wanted, variable, service }).catch(() =>
    claimPort({ port: 0, variable, service }),
  );
  return String(port);
}

/** A Temporal CLI that has to be downloaded or built first is kept outside of the demo's folder, for the next time. */
async function provideTemporalCli(binDir: string, screen: Screen, signal: AbortSignal): Promise<void> {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const found = await findTemporalCli({
    binDir: join(cache, 'penstock', 'bin'),
    log: (line) => {
      screen.output(line);
    },
    signal,
  });
  await mkdir(binDir, { recursive: true });
  await symlink(found, join(binDir, 'temporal')).catch((error: unknown) => {
    if ((asError(error) as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  });
}
