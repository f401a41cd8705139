import { setTimeout as sleep } from 'node:timers/promises';

import { asError } from '../errors';
import type { ServerProcess } from './server-process';

/** A server that ends this often within {@link WITHIN_MS} is not started again. */
const RESTARTS = 3;
const WITHIN_MS = 10 * 60_000;

/** A server that is started again when it ends by itself. */
export class Supervised {
  /** Rejects when the server is given up; never resolves. */
  readonly failed: Promise<never>;
  private readonly stopping = new AbortController();
  private readonly watching: Promise<void>;

  /**
   * @param server the running server.
   * @param startAgain starts it again, on the same port, unless it is interrupted.
   */
  constructor(
    private server: ServerProcess,
    private readonly service: string,
    private readonly startAgain: (signal: AbortSignal) => Promise<ServerProcess>,
    private readonly log: (line: string) => void,
  ) {
    let giveUp: (error: Error) => void;
    this.failed = new Promise<never>((_, reject) => {
      giveUp = reject;
    });
    // Who starts services may look at `failed` later, or not at all.
    this.failed.catch(() => undefined);
    this.watching = this.watch().catch((error: unknown) => {
      giveUp(asError(error));
    });
  }

  /** Ends the server and its supervision. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.server.stop();
    await this.watching;
    // It may have been started again in this very moment.
    await this.server.stop();
  }

  /** Kills the server, without waiting for anything. */
  kill(): void {
    this.stopping.abort();
    this.server.kill();
  }

  private async watch(): Promise<void> {
    const ends: number[] = [];
    for (;;) {
      let how = await this.server.exited;
      for (let running = false; !running;) {
        if (this.isStopping()) return;
        const now = Date.now();
        ends.push(now);
        const recent = ends.filter((at) => now - at < WITHIN_MS).length;
        if (recent > RESTARTS) throw this.server.failure(`ended ${recent} times within 10 minutes (${how})`);
        this.log(`The embedded ${this.service} ended (${how}) and is started again.`);
        await sleep(200 * recent);
        if (this.isStopping()) return;
        try {
          this.server = await this.startAgain(this.stopping.signal);
          running = true;
        } catch (error) {
          how = asError(error).message;
        }
      }
    }
  }

  /** A function, as the answer changes while one waits. */
  private isStopping(): boolean {
    return this.stopping.signal.aborted;
  }
}
