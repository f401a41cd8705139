import { spawn } from 'node:child_process';

import { program, RunningCommand } from '../cli/penstock-command';
import type { Penstock } from '../harness/penstock';

/** A line of the worker's log. */
export interface LogLine {
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** `penstock worker` as a process of its own, which answers for those who watch it. */
export class WatchedWorker {
  private constructor(
    private readonly command: RunningCommand,
    readonly url: string,
  ) {}

  /** Runs a worker for a Penstock that has none of its own, and waits until it polls. */
  static async start(penstock: Penstock, env: Readonly<Record<string, string>>): Promise<WatchedWorker> {
    const { settings, testDatabase, temporalAddress } = penstock;
    const child = spawn(process.execPath, [program, 'worker', '--json'], {
      env: {
        PATH: process.env.PATH,
        DATABASE_URL: testDatabase.url,
        TEMPORAL_ADDRESS: temporalAddress,
        PENSTOCK_DATA: settings.dataDir,
        PENSTOCK_TASK_QUEUE: settings.taskQueue,
        PENSTOCK_HTTP_ADDRESS: '127.0.0.1:0',
        ...env,
      },
    });
    const command = new RunningCommand(child);
    await command.printed('"http": "');
    const { http } = JSON.parse(command.stdout) as { readonly http: string };
    return new WatchedWorker(command, http);
  }

  async get(path: string): Promise<{ status: number; body: string }> {
    const response = await fetch(this.url + path);
    return { status: response.status, body: await response.text() };
  }

  get log(): LogLine[] {
    return this.command.stderr
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LogLine);
  }

  async stop(): Promise<void> {
    await this.command.stop();
  }
}
