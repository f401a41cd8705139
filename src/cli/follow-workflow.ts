import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Client } from '@temporalio/client';

import type { ErrorDetails } from '../errors';
import type { ProgressView } from '../syncs/sync-views';
import type { CommandContext } from './command';
import { ConnectionLost, isConnectionError, messageOf } from './exit-status';
import type { ProgressDisplay } from './progress-display';
import { ProgressRates } from './progress-rates';
import type { Session } from './session';

/** A workflow that is followed. */
export interface FollowedWorkflow<Result> {
  /** As `the sync of "files"`. */
  readonly what: string;
  /** The command that attaches to it. */
  readonly again: string;
  /** What an error about it is about. */
  readonly details: ErrorDetails;
  /** Whether to wait however long a connection is lost. */
  readonly patient: boolean;
  /** Waits for its end. */
  wait(client: Client): Promise<Result>;
  /** How far it is. */
  progress(session: Session): Promise<readonly ProgressView[]>;
}

/** Milliseconds that a connection may be lost, without `--wait`. */
const patience = 60_000;
/** Milliseconds between two looks whether the process that runs the services is still there. */
const ownerCheck = 3000;

/**
 * Follows a workflow to its end, also when connections are lost in between: services that are given are waited for, and where
 * another process of this machine ran them and has ended, this one takes over.
 */
export class WorkflowFollower<Result> {
  private lostSince: number | undefined;

  constructor(
    private readonly context: CommandContext,
    /** What is worked with now; another one after a take-over. */
    public session: Session,
    private readonly followed: FollowedWorkflow<Result>,
    private readonly display: ProgressDisplay,
  ) {}

  /** @throws what waiting for it throws, {@link ConnectionLost} */
  async follow(): Promise<Result> {
    for (;;) {
      try {
        return await this.watch();
      } catch (error) {
        if (!isConnectionError(error)) throw error;
        await this.recover(error);
      }
    }
  }

  /** Reads something from the database once it is over, with the same patience. */
  async afterwards<T>(read: (session: Session) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await read(this.session);
      } catch (error) {
        if (!isConnectionError(error)) throw error;
        await this.recover(error);
      }
    }
  }

  /** Waits for the workflow, and shows progress meanwhile. */
  private async watch(): Promise<Result> {
    const { client } = this.session;
    const over = new AbortController();
    const shown = this.showProgress(over.signal);
    const result = client.withAbortSignal(over.signal, () => this.followed.wait(client));
    result.catch(() => undefined);
    try {
      return await Promise.race([result, shown, this.session.failed]);
    } finally {
      over.abort();
      await shown.catch(() => undefined);
    }
  }

  /** Rejects when the database is lost; never resolves, but for the end of what is waited for. */
  private async showProgress(over: AbortSignal): Promise<never> {
    const rates = new ProgressRates();
    const show = async () => {
      this.display.update(rates.rows(await this.followed.progress(this.session), performance.now()));
    };
    for (let nextCheck = Date.now() + ownerCheck; ;) {
      if (Date.now() >= nextCheck) {
        await this.session.checkOwner();
        nextCheck = Date.now() + ownerCheck;
      }
      await show();
      if (this.lostSince !== undefined) {
        this.lostSince = undefined;
        this.context.output.note('Connected again.');
      }
      // Cut short at the end, which is then looked at once more.
      const ended = await sleep(this.display.interval, false, { signal: over }).catch(() => true);
      if (!ended) continue;
      await show();
      throw new Error('it is over');
    }
  }

  private async recover(error: unknown): Promise<void> {
    const { context, session, followed } = this;
    if (this.lostSince === undefined) {
      this.lostSince = Date.now();
      context.output.note(
        `${messageOf(error).replace(/\.?$/, '.')} Waiting for it to come back; what is done is safe.`,
      );
    }
    for (;;) {
      if (!followed.patient && Date.now() - this.lostSince > patience) {
        throw new ConnectionLost(
          `The connection was lost for ${patience / 1000} s. Meanwhile ${followed.what} may go on; attach to it: ${followed.again}`,
          followed.details,
          { cause: error },
        );
      }
      await sleep(500);
      // What is given, or supervised by this process, comes back at the same address.
      if (session.own || session.given) return;
      try {
        await session.close();
        this.session = await context.open({ temporal: true });
        if (this.session.own) {
          await this.session.startWorker('file');
          context.output.note('Whoever ran the services has ended: this process runs them now, and it goes on.');
        }
        return;
      } catch (openError) {
        if (!isConnectionError(openError)) throw openError;
      }
    }
  }
}
