import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

import { quoted } from '../syncs/errors';
import { findSyncOfRun, readProgress, readStandstill } from '../syncs/sync-views';
import { handleOf } from '../syncs/sync-workflow';
import type { SyncExecution, SyncResult } from '../syncs/sync-workflow';
import { waitForSync } from '../syncs/wait-for-sync';
import type { CommandContext } from './command';
import { ConnectionLost, isConnectionError, messageOf } from './exit-status';
import type { ProgressDisplay } from './progress-display';
import { ProgressRates } from './progress-rates';
import type { Session } from './session';
import { StandstillNotes } from './standstill';

/** A sync that is followed. */
export interface FollowedSync {
  readonly repository: string;
  readonly execution: SyncExecution;
  /** Whether to wait however long a connection is lost. */
  readonly patient: boolean;
}

/** Milliseconds that a connection may be lost, without `--wait`. */
const patience = 60_000;
/** Milliseconds between two looks whether the process that runs the services is still there. */
const ownerCheck = 3000;

/**
 * Follows a sync to its end, also when connections are lost in between: services that are given are waited for, and where
 * another process of this machine ran them and has ended, this one takes over.
 */
export class SyncFollower {
  private lostSince: number | undefined;

  constructor(
    private readonly context: CommandContext,
    /** What is worked with now; another one after a take-over. */
    public session: Session,
    private readonly sync: FollowedSync,
    private readonly display: ProgressDisplay,
  ) {}

  /** @throws {@link SyncFailed}, {@link SyncStopped}, {@link ConnectionLost} */
  async follow(): Promise<SyncResult> {
    for (;;) {
      try {
        return await this.watch();
      } catch (error) {
        if (!isConnectionError(error)) throw error;
        await this.recover(error);
      }
    }
  }

  /** Reads something from the database once the sync is over, with the same patience. */
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
  private async watch(): Promise<SyncResult> {
    const { client } = this.session;
    const over = new AbortController();
    const shown = this.showProgress(over.signal);
    const result = client.withAbortSignal(over.signal, () =>
      waitForSync(handleOf(client, this.sync.execution), this.sync.repository),
    );
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
    const standstill = new StandstillNotes(this.context.output, this.sync.repository);
    let syncId: string | undefined;
    for (let nextCheck = Date.now() + ownerCheck; ;) {
      if (Date.now() >= nextCheck) {
        await this.session.checkOwner();
        nextCheck = Date.now() + ownerCheck;
      }
      syncId ??= (await findSyncOfRun(this.sync.execution.runId))?.id;
      if (syncId !== undefined) {
        this.display.update(rates.rows(await readProgress(syncId), performance.now()));
        standstill.update(await readStandstill(this.session.database.sequelize, syncId));
      }
      if (this.lostSince !== undefined) {
        this.lostSince = undefined;
        this.context.output.note('Connected again.');
      }
      // Cut short at the end, which is then looked at once more.
      const ended = await sleep(this.display.interval, false, { signal: over }).catch(() => true);
      if (!ended) continue;
      syncId ??= (await findSyncOfRun(this.sync.execution.runId))?.id;
      if (syncId !== undefined) this.display.update(rates.rows(await readProgress(syncId), performance.now()));
      throw new Error('the sync is over');
    }
  }

  private async recover(error: unknown): Promise<void> {
    const { context, session, sync } = this;
    if (this.lostSince === undefined) {
      this.lostSince = Date.now();
      context.output.note(`${messageOf(error).replace(/\.?$/, '.')} Waiting for it to come back; the sync is safe.`);
    }
    const again = `penstock sync ${quoted(sync.repository)} --attach`;
    for (;;) {
      if (!sync.patient && Date.now() - this.lostSince > patience) {
        throw new ConnectionLost(
          `The connection was lost for ${patience / 1000} s. The sync of "${sync.repository}" may go on meanwhile; attach to it: ${again} (--wait waits however long).`,
          { repository: sync.repository },
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
          context.output.note('Whoever ran the services has ended: this process runs them now, and the sync goes on.');
        }
        return;
      } catch (openError) {
        if (!isConnectionError(openError)) throw openError;
      }
    }
  }
}
