import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';

import { ServiceFailed } from './errors';
import { LogFile } from './log-file';
import { endProcess, identify, type EndingSignals } from './process-table';

/** How to run a server. */
export interface ServerCommand {
  /** What a person calls it. */
  readonly service: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly logPath: string;
  readonly stopSignals: EndingSignals;
}

/**
 * A server that runs as a child of this process, in a session of its own: a Ctrl-C in the terminal reaches only Penstock, which
 * then stops its servers in the right order. It writes to its log itself and so outlives Penstock if that is killed; the
 * next start finds and ends it.
 */
export class ServerProcess {
  /** How the server ended, in words. Never rejects. */
  readonly exited: Promise<string>;
  readonly pid: number | undefined;
  readonly log: LogFile;
  private ending: string | undefined;
  private readonly stopBounding: () => void;

  constructor(private readonly how: ServerCommand) {
    this.log = new LogFile(how.logPath);
    const output = this.log.open();
    const child = spawn(how.command, how.args, {
      cwd: how.cwd,
      env: how.env,
      detached: true,
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    this.pid = child.pid;
    this.stopBounding = this.log.bound();
    this.exited = new Promise((resolve) => {
      const end = (ending: string) => {
        this.ending = ending;
        this.stopBounding();
        resolve(ending);
      };
      child.once('error', (error) => {
        end(error.message);
      });
      child.once('exit', (code, signal) => {
        end(signal ? `killed by ${signal}` : `exit status ${String(code)}`);
      });
    });
  }

  /** Waits until `isReady` says so; as long as the server runs, its recovery from a crash may take its time. */
  async untilReady(isReady: () => Promise<boolean>, patienceMs: number, signal?: AbortSignal): Promise<void> {
    const deadline = Date.now() + patienceMs;
    for (let pause = 10; !(await isReady()); pause = Math.min(pause * 1.5, 250)) {
      if (this.ending !== undefined) throw this.failure(`ended while it started (${this.ending})`);
      if (signal?.aborted) {
        await this.stop();
        throw signal.reason;
      }
      if (Date.now() > deadline) {
        await this.stop();
        throw this.failure(`was not ready within ${patienceMs / 1000} seconds`);
      }
      await Promise.race([this.exited, new Promise((resolve) => setTimeout(resolve, pause))]);
    }
  }

  /** Ends the server and waits for its end. */
  async stop(): Promise<void> {
    const identity = this.ending === undefined && this.pid !== undefined ? await identify(this.pid) : undefined;
    if (identity) await endProcess(identity, this.how.stopSignals);
    await this.exited;
  }

  /** Kills the server, without waiting for its end. */
  kill(): void {
    if (this.ending !== undefined || this.pid === undefined) return;
    try {
      process.kill(this.pid, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  }

  /** An error about this server with the last lines of its log. */
  failure(what: string): ServiceFailed {
    const { service, logPath } = this.how;
    const tail = this.log.tail();
    return new ServiceFailed(
      `The embedded ${service} ${what}. Its log is ${logPath}${tail ? `, and ends with:\n${tail}` : '.'}`,
      { path: logPath, service },
    );
  }
}
