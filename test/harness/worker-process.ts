import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import type { Penstock } from './penstock';

const program = join(__dirname, '..', '..', 'dist', 'src', 'cli', 'main.js');

/** `penstock worker`, as a process of its own that a test can kill. */
export class WorkerProcess {
  private readonly exited: Promise<unknown>;
  private errors = '';

  private constructor(private readonly child: ChildProcess) {
    this.exited = once(child, 'exit');
    child.stderr?.on('data', (chunk: Buffer) => {
      this.errors = (this.errors + chunk.toString()).slice(-4000);
    });
  }

  /** Runs a worker for a Penstock that has none of its own, and waits until it polls. */
  static async start({ settings, testDatabase, temporalAddress, storageEnv }: Penstock): Promise<WorkerProcess> {
    const child = spawn(process.execPath, [program, 'worker'], {
      env: {
        PATH: process.env.PATH,
        DATABASE_URL: testDatabase.url,
        TEMPORAL_ADDRESS: temporalAddress,
        PENSTOCK_DATA: settings.dataDir,
        PENSTOCK_TASK_QUEUE: settings.taskQueue,
        ...storageEnv,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const worker = new WorkerProcess(child);
    const polls = once(createInterface(child.stdout), 'line');
    await Promise.race([polls, worker.exited]);
    if (child.exitCode !== null) throw new Error(`The worker has ended: ${worker.errors}`);
    return worker;
  }

  /** As a crash, or `kill -9`. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Asks it to end; it may have ended already. */
  async stop(): Promise<void> {
    this.child.kill('SIGTERM');
    await this.exited;
  }
}
