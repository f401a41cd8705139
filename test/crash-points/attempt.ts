import { Context, asyncLocalStorage } from '@temporalio/activity';
import type { Info } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { noopMetricMeter } from '@temporalio/common';

/** What an activity sends to its workflow: the name of the signal, and its message. */
export type SendSignal = (name: string, message: unknown) => Promise<void>;

interface AttemptOptions {
  readonly activityType: string;
  /** What it works on, such as `batch 2`; with the type unique in a sync. */
  readonly object: string;
  readonly fence: number;
  readonly runId: string;
  /** Aborts once the worker that runs it is dead. */
  readonly death: AbortSignal;
  readonly send: SendSignal;
}

/** One attempt of an activity, in what an activity sees of a worker. */
export class Attempt extends Context {
  readonly #steps = new Map<string, number>();

  constructor({ activityType, object, fence, runId, death, send }: AttemptOptions) {
    super(
      {
        activityId: `${activityType} of ${object}`,
        activityType,
        currentAttemptScheduledTimestampMs: fence,
        workflowExecution: { workflowId: 'sync/in-process', runId },
        inWorkflow: true,
      } as Info,
      new Promise<never>(() => undefined),
      death,
      () => undefined,
      {
        workflow: {
          getHandle: () => ({ signal: ({ name }: { name: string }, message: unknown) => send(name, message) }),
        },
      } as unknown as Client,
      quiet,
      noopMetricMeter,
      {},
    );
  }

  /** The attempt that calls this. */
  static override current(): Attempt {
    const current = asyncLocalStorage.getStore();
    if (!(current instanceof Attempt)) throw new Error('This is called by activities only.');
    return current;
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    return asyncLocalStorage.run(this, work);
  }

  /** The name of a step that may come several times in this attempt. */
  nameOf(step: string): string {
    const count = (this.#steps.get(step) ?? 0) + 1;
    this.#steps.set(step, count);
    return `${this.info.activityId}: ${step} ${count}`;
  }
}

const ignore = () => undefined;
const quiet = { log: ignore, trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };
