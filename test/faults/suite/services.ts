import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

import { LOOPBACK } from '../../../src/embedded/ports';
import { startPostgres } from '../../../src/embedded/postgres';
import type { RunningPostgres } from '../../../src/embedded/postgres';
import { startTemporal } from '../../../src/embedded/temporal';
import type { RunningTemporal } from '../../../src/embedded/temporal';
import { findTemporalCli } from '../../../src/embedded/temporal-cli';

/** What can be killed, and comes back when it is told to. */
export type Service = 'postgres' | 'temporal';

/**
 * PostgreSQL and Temporal as one machine has them, durable as in production. Nobody supervises them, as a supervisor gives a
 * server up that ends a hundred times.
 */
export class Services {
  private constructor(
    private readonly folder: string,
    private readonly temporalCli: string,
    private postgres: RunningPostgres,
    private temporal: RunningTemporal,
  ) {}

  static async start(log: (line: string) => void): Promise<Services> {
    const binDir = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'penstock', 'bin');
    const temporalCli = await findTemporalCli({ binDir, log });
    const folder = await mkdtemp(join(tmpdir(), 'penstock-faults-'));
    await mkdir(join(folder, 'logs'));
    const postgres = await runPostgres(folder, 0);
    try {
      return new Services(folder, temporalCli, postgres, await runTemporal(folder, temporalCli, 0, 0));
    } catch (error) {
      await postgres.process.stop();
      throw error;
    }
  }

  get databaseUrl(): string {
    return this.postgres.url;
  }

  get temporalAddress(): string {
    return `${LOOPBACK}:${this.temporal.port}`;
  }

  /** `kill -9` of the server; PostgreSQL's backends are left to themselves, as in a crash. */
  async kill(service: Service): Promise<void> {
    this[service].process.kill();
    await this[service].process.exited;
  }

  /** Starts a server that was killed, on its data and its port; whoever runs already is left alone. */
  async startAgain(service: Service): Promise<void> {
    if (await this.runs(service)) return;
    const { folder, temporalCli, postgres, temporal } = this;
    if (service === 'postgres') this.postgres = await runPostgres(folder, postgres.port);
    else this.temporal = await runTemporal(folder, temporalCli, temporal.port, temporal.uiPort);
  }

  async stop(): Promise<void> {
    await Promise.all([this.temporal.process.stop(), this.postgres.process.stop()]);
    await rm(this.folder, { recursive: true, force: true });
  }

  /** For a process that is just ending. */
  killNow(): void {
    this.temporal.process.kill();
    this.postgres.process.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async runs(service: Service): Promise<boolean> {
    const ended = this[service].process.exited.then(() => false);
    return Promise.race([ended, new Promise<boolean>((resolve) => setImmediate(resolve, true))]);
  }
}

const quiet = () => undefined;

function runPostgres(folder: string, port: number): Promise<RunningPostgres> {
  const logPath = join(folder, 'logs', 'postgres.log');
  return startPostgres({ home: join(folder, 'postgres'), logPath, port, durable: true, log: quiet });
}

function runTemporal(folder: string, executable: string, port: number, uiPort: number): Promise<RunningTemporal> {
  const logPath = join(folder, 'logs', 'temporal.log');
  return startTemporal({ home: join(folder, 'temporal'), logPath, executable, port, uiPort, log: quiet });
}
