import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Ended, RunningCommand } from '../../cli/penstock-command';
import { Installation } from './installation';
import type { Random } from './random';
import type { Service, Services } from './services';
import { Upstream } from './upstream';
import type { Files, KeyPair } from './upstream';
import { readNewest, requireSame } from './versions';
import type { NewestVersion } from './versions';

/** Downloads at once, of every remote: so many are in flight when something is killed. */
export const concurrency = 10;

/** What can be struck by `kill -9`. */
export type Victim = 'worker' | Service;

/** What is counted over rounds. */
export interface Tally {
  readonly kills: Record<Victim, number>;
  /** Moments at which something was killed; several at once are one. */
  strikes: number;
  syncs: number;
  /** Replies by which upstream misbehaved. */
  faults: number;
  downloads: number;
  /** Files that were fetched again although upstream had sent them well. */
  repeated: number;
}

export function newTally(): Tally {
  return { kills: { worker: 0, temporal: 0, postgres: 0 }, strikes: 0, syncs: 0, faults: 0, downloads: 0, repeated: 0 };
}

/** What could not be tried on this machine, and why. */
export class Omitted extends Error {}

/** What a command has to end with for a sync. */
export interface SyncOptions {
  /** Goes to `penstock sync`. */
  readonly args?: readonly string[];
  /** Runs once the sync has started. */
  readonly meanwhile?: (sync: RunningCommand) => Promise<void>;
}

/** One scenario that runs: a Penstock of its own on services that rounds share, upstreams, and what has to hold in the end. */
export class Round {
  readonly tally = newTally();
  private readonly upstreams: Upstream[] = [];
  private readonly cleanups: (() => unknown)[] = [];

  private constructor(
    readonly random: Random,
    readonly services: Services,
    readonly installation: Installation,
    /** Seconds for which a service is away, where a scenario takes it away. */
    readonly outage: number,
    /** Different in each round, as all of them share one Temporal and its workflow ids. */
    private readonly number: number,
  ) {}

  static async begin(
    services: Services,
    settings: { readonly random: Random; readonly outage: number; readonly number: number },
  ): Promise<Round> {
    await Promise.all([services.startAgain('postgres'), services.startAgain('temporal')]);
    const installation = await Installation.start(services);
    return new Round(settings.random, services, installation, settings.outage, settings.number);
  }

  /** The name of a repository. */
  named(name: string): string {
    return `${name}-${this.number}`;
  }

  /** Runs once the processes of the round have ended, whatever ends them. */
  afterwards(cleanup: () => unknown): void {
    this.cleanups.push(cleanup);
  }

  async end(): Promise<void> {
    await Promise.all([this.services.startAgain('postgres'), this.services.startAgain('temporal')]);
    const { installation, upstreams, cleanups } = this;
    const ended: PromiseSettledResult<unknown>[] = await Promise.allSettled([
      installation.endProcesses(),
      ...upstreams.map((each) => each.stop()),
    ]);
    for (const cleanup of cleanups) cleanup();
    ended.push(...(await Promise.allSettled([installation.remove()])));
    const failed = ended.find((each) => each.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** For a process that is just ending. */
  endNow(): void {
    const { installation, cleanups } = this;
    installation.killNow();
    for (const cleanup of cleanups) cleanup();
    rmSync(installation.penstock.settings.dataDir, { recursive: true, force: true });
  }

  async addUpstream(files: Files, tls?: KeyPair): Promise<Upstream> {
    const upstream = await Upstream.start(tls);
    this.upstreams.push(upstream);
    upstream.publish(files);
    return upstream;
  }

  /** Files of a repository: most of them small, some so large that a kill falls into the middle of one. */
  makeFiles(small: number, { large = this.random.int(1, 3), prefix = 'file' } = {}): Map<string, Buffer> {
    const { random } = this;
    const files = new Map<string, Buffer>();
    for (let index = 0; index < small; index += 1) {
      files.set(`${prefix}/${String(index).padStart(5, '0')}`, random.bytes(random.int(0, 2000)));
    }
    for (let index = 0; index < large; index += 1) {
      files.set(`${prefix}/large-${index}`, random.bytes(random.int(1_000_000, 3_000_000)));
    }
    return files;
  }

  /** Another state of upstream: some files are gone, some are others, some are new. */
  changeFiles(files: Files, added: number, { large = 1 } = {}): Map<string, Buffer> {
    const { random } = this;
    const changed = new Map<string, Buffer>();
    for (const [path, bytes] of files) {
      if (random.chance(0.1)) continue;
      changed.set(path, random.chance(0.1) ? random.bytes(bytes.length + 1) : bytes);
    }
    for (const [path, bytes] of this.makeFiles(added, { large, prefix: `new-${random.int(0, 2 ** 31)}` }))
      changed.set(path, bytes);
    return changed;
  }

  /** Runs `penstock sync`, however it ends. */
  async trySync(repository: string, { args = [], meanwhile }: SyncOptions = {}): Promise<Ended> {
    this.tally.syncs += 1;
    const sync = this.installation.start('sync', repository, '--wait', '--json', ...args);
    await sync.printed('"event":"started"');
    await meanwhile?.(sync);
    return sync.ended();
  }

  /** Runs `penstock sync`, which has to succeed. Nobody does anything about what happens to it. */
  async sync(repository: string, options: SyncOptions = {}): Promise<void> {
    const ended = await this.trySync(repository, options);
    if (ended.status !== 0) throw unexpected(`penstock sync ${repository}`, ended);
    const dead = this.installation.endedWorkers;
    if (dead.length > 0) throw new Error(`A worker has ended by itself:\n${dead.join('\n')}`);
  }

  /** The options of `penstock sync` for a new remote. */
  remote(upstream: Upstream, ...more: readonly string[]): string[] {
    return ['--url', upstream.url, '--download-concurrency', String(concurrency), ...more];
  }

  /** Waits for a random moment of a sync: some downloads later, or some time; or its end. */
  async moment(sync: RunningCommand, upstream: Upstream, atMost: number): Promise<void> {
    const { random } = this;
    const [files, milliseconds] = [upstream.served + random.int(0, atMost), random.int(0, 3000)];
    if (random.chance(0.7)) await this.downloaded(sync, upstream, { files, within: 15_000 });
    else await this.downloaded(sync, upstream, { files: Infinity, within: milliseconds });
  }

  /** Waits until upstream has sent so many files, or the sync is over. */
  async downloaded(
    sync: RunningCommand,
    upstream: Upstream,
    { files, within = Infinity }: { readonly files: number; readonly within?: number },
  ): Promise<void> {
    const deadline = Date.now() + within;
    while (upstream.served < files && Date.now() < deadline && sync.child.exitCode === null) await sleep(5);
  }

  /** `kill -9` of all of these at once; after a moment they are started again. */
  async strike(...victims: readonly Victim[]): Promise<void> {
    await this.kill(...victims);
    await sleep(this.random.int(0, 1500));
    await this.startAgain(...victims);
  }

  /** `kill -9` of all of these at once. */
  async kill(...victims: readonly Victim[]): Promise<void> {
    this.tally.strikes += 1;
    for (const victim of victims) this.tally.kills[victim] += 1;
    const { services, installation } = this;
    await Promise.all(
      victims.map((victim) => (victim === 'worker' ? installation.killWorker() : services.kill(victim))),
    );
  }

  async startAgain(...victims: readonly Victim[]): Promise<void> {
    const { services, installation } = this;
    await Promise.all(
      victims.map(async (victim) => {
        if (victim !== 'worker') await services.startAgain(victim);
      }),
    );
    if (victims.includes('worker')) await installation.startWorker();
  }

  /**
   * What has to hold after every sync: `penstock check --deep` finds nothing, the newest version has exactly these files, byte
   * for byte, and nothing was fetched again but what was in flight when something was killed.
   */
  async requireWhole(
    repository: string,
    files: Files,
    { stored = true, upstream, strikes = 0 }: { stored?: boolean; upstream?: Upstream; strikes?: number } = {},
  ): Promise<NewestVersion> {
    const { penstock } = this.installation;
    await this.requireNoProblem();
    const version = await readNewest(penstock.database.pool, repository);
    await requireSame(version, files, stored ? this.installation.storageDir : undefined);
    if (upstream) this.requireNothingAgain(upstream, strikes);
    return version;
  }

  /** Nothing was fetched again but what was in flight at a strike. Counts what upstream was asked for, and forgets it. */
  requireNothingAgain(upstream: Upstream, strikes: number): void {
    const { repeated, faults } = upstream;
    for (const count of faults.values()) this.tally.faults += count;
    this.tally.downloads += upstream.downloads;
    this.tally.repeated += repeated;
    if (repeated > strikes * concurrency) {
      throw new Error(
        `${repeated} files were fetched again, where ${concurrency} were in flight at each of ${strikes} strikes`,
      );
    }
    upstream.forget();
  }

  async requireNoProblem(): Promise<void> {
    const { problems, notChecked } = await this.check('--deep');
    if (problems.length + notChecked.length === 0) return;
    throw new Error(`penstock check --deep: ${[...problems.map(({ message }) => message), ...notChecked].join('\n')}`);
  }

  /** What `penstock check` finds. */
  async check(...args: readonly string[]): Promise<{ problems: CheckProblem[]; notChecked: string[] }> {
    const ended = await this.installation.run('check', '--json', ...args);
    if (ended.status !== 0 && ended.status !== 1) throw unexpected('penstock check', ended);
    const document = JSON.parse(ended.stdout) as {
      readonly checked: Readonly<Record<string, { readonly notChecked: string | null }>>;
      readonly problems: CheckProblem[];
    };
    const notChecked = Object.values(document.checked).flatMap((each) => each.notChecked ?? []);
    return { problems: document.problems, notChecked };
  }
}

export interface CheckProblem {
  readonly kind: string;
  readonly message: string;
  readonly path?: string;
}

/** What a command says, whichever way. */
export function said({ stdout, stderr }: Ended): string {
  return `${stdout}${stderr}`;
}

/** A command that has ended otherwise than it had to. */
export function unexpected(command: string, { status, stdout, stderr }: Ended): Error {
  return new Error(`${command} ended with ${String(status)}:\n${stdout.slice(-2000)}\n${stderr.slice(-2000)}`);
}
