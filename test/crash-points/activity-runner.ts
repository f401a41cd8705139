import { setImmediate } from 'node:timers/promises';

import { ApplicationFailure } from '@temporalio/common';

import { ErrorInterceptor } from '../../activities/interceptors';
import { SyncRepositories } from '../../activities/sync-repositories';
import type { Database } from '../../src/models/database';
import { Attempt } from './attempt';
import type { SendSignal } from './attempt';
import { CrashPoints } from './crash-points';
import type { Extent, PlannedCrash } from './crash-points';

export type Activity = (input: unknown) => Promise<unknown>;

/** How often each activity is run, before its result counts. */
export type Repetition = 'once' | 'one after the other' | 'at the same time';

/** What is done to a sync. */
export interface Disturbance {
  readonly crash?: PlannedCrash | undefined;
  readonly repetition?: Repetition;
  /** What becomes of a signal on its way: it is delivered as often, and as late, as this says. */
  readonly channel?: (deliver: () => void) => void;
  /** Where the order is left open: numbers from 0 to below 1. */
  readonly random: () => number;
}

/** The workflow's run is gone with all that it knew. */
export class RunLost extends Error {}

/** Attempts of an activity: more than that are no accident. */
const mostAttempts = 20;
/** Later than any that Temporal's server has given out in this process. */
let lastFence = Date.now();

/** What Temporal and its workers are to a sync, in this process: runs activities, and again those that did not succeed. */
export class ActivityRunner {
  readonly points: CrashPoints;
  private worker = new AbortController();
  private lost = false;
  private readonly interceptor: ErrorInterceptor;
  /** Attempts that nobody may wait for any more, but that are not over. */
  private readonly underWay = new Set<Promise<unknown>>();

  constructor(
    private readonly activities: Readonly<Record<string, Activity>>,
    database: Database,
    readonly disturbance: Disturbance,
  ) {
    this.interceptor = new ErrorInterceptor(new SyncRepositories(database));
    this.points = new CrashPoints(disturbance.crash, (extent) => {
      this.end(extent);
    });
  }

  /** Runs an activity until it succeeds, or is not to be tried again. @throws {@link RunLost}, {@link ApplicationFailure} */
  async call(type: string, object: string, input: unknown, runId: string, signal: SendSignal): Promise<unknown> {
    for (let attempts = 1; attempts <= mostAttempts; attempts += 1) {
      await this.jitter();
      try {
        return await this.repeated(() => this.attempt(type, object, input, runId, signal));
      } catch (error) {
        if (this.lost) throw new RunLost();
        if (error instanceof ApplicationFailure && error.nonRetryable === true) throw error;
        if (attempts === mostAttempts) throw error;
      }
    }
    throw new Error('the loop above ends by returning or throwing');
  }

  /** A new run of the workflow begins where the one before was lost. */
  beginRun(): void {
    this.lost = false;
  }

  /** Waits until nothing runs any more. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.underWay);
  }

  private end(extent: Extent): void {
    if (extent === 'attempt') return;
    this.worker.abort(new Error('The worker is dead'));
    this.worker = new AbortController();
    this.lost = extent === 'everything';
  }

  /** The result of the latest attempt is the one that counts, as Temporal has forgotten the others. */
  private async repeated(run: () => Promise<unknown>): Promise<unknown> {
    switch (this.disturbance.repetition ?? 'once') {
      case 'once':
        return run();
      case 'one after the other':
        await run();
        return run();
      case 'at the same time': {
        const earlier = run().catch(() => undefined);
        await this.jitter();
        const later = run();
        await Promise.allSettled([earlier, later]);
        return later;
      }
    }
  }

  private attempt(type: string, object: string, input: unknown, runId: string, send: SendSignal): Promise<unknown> {
    const activity = this.activities[type];
    if (!activity) throw new Error(`There is no activity "${type}".`);
    const { signal: death } = this.worker;
    const { points } = this;
    const attempt = new Attempt({
      activityType: type,
      object,
      fence: (lastFence += 1),
      runId,
      death,
      send: async (name, message) => {
        points.pass('before signal');
        await send(name, message);
        points.pass('after signal');
      },
    });
    const running = attempt.run(async () => {
      const result = await this.interceptor.execute({ args: [input], headers: {} }, ({ args }) => activity(args[0]));
      points.pass('completion');
      return result;
    });
    const over = running.finally(() => this.underWay.delete(over));
    this.underWay.add(over);
    over.catch(() => undefined);
    return running;
  }

  /** Lets others go first, sometimes. */
  private async jitter(): Promise<void> {
    for (let turns = Math.floor(this.disturbance.random() * 4); turns > 0; turns -= 1) await setImmediate();
  }
}
