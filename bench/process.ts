import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A program of the benchmark that runs in a process of its own. */
export class BenchProcess {
  private constructor(
    private readonly child: ChildProcess,
    /** The first line that it printed: it is ready. */
    readonly line: string,
  ) {}

  static async start(
    program: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv = process.env,
  ): Promise<BenchProcess> {
    // As the command `penstock` starts its process.
    const child = spawn(process.execPath, ['--max-semi-space-size=4', join(__dirname, program), ...args], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    return new BenchProcess(child, line);
  }

  /** Seconds of CPU so far, and the most resident memory, in megabytes (proc(5): `stat`, `status`). */
  async usage(): Promise<{ cpu: number; peak: number }> {
    const [stat, status] = await Promise.all([this.read('stat'), this.read('status')]);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[11]) + Number(fields[12]);
    return { cpu: ticks / 100, peak: Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024 };
  }

  async stop(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await exited;
  }

  private read(file: string): Promise<string> {
    return readFile(`/proc/${this.child.pid ?? 0}/${file}`, 'utf8');
  }
}
