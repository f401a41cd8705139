import { Context, heartbeat } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { ActivityExecuteInput, ActivityInboundCallsInterceptor, Next } from '@temporalio/worker';

import { PenstockError } from '../src/errors';

/** Milliseconds between heartbeats; a cancellation reaches an activity with the next one. */
const heartbeatInterval = 1000;
/** Characters of a message: Temporal keeps 4 KB of a failure in its state. */
const longestMessage = 3000;

const heartbeatDetails = new WeakMap<Context, () => unknown>();

/** Says what the heartbeats of the current activity carry: how far it is, for people who look. */
export function describeHeartbeats(details: () => unknown): void {
  heartbeatDetails.set(Context.current(), details);
}

/** Lets every activity heartbeat, so that one whose worker has died is soon tried again. */
export class HeartbeatInterceptor implements ActivityInboundCallsInterceptor {
  async execute(input: ActivityExecuteInput, next: Next<ActivityInboundCallsInterceptor, 'execute'>): Promise<unknown> {
    const context = Context.current();
    const timer = setInterval(() => {
      heartbeat(heartbeatDetails.get(context)?.());
    }, heartbeatInterval);
    try {
      return await next(input);
    } finally {
      clearInterval(timer);
    }
  }
}

/** Casts the errors that Penstock knows: they are final, with a stable type. All others are retried by Temporal. */
export class ErrorInterceptor implements ActivityInboundCallsInterceptor {
  async execute(input: ActivityExecuteInput, next: Next<ActivityInboundCallsInterceptor, 'execute'>): Promise<unknown> {
    try {
      return await next(input);
    } catch (error) {
      if (!(error instanceof PenstockError)) throw error;
      throw ApplicationFailure.create({
        type: error.name,
        message: error.message.length > longestMessage ? `${error.message.slice(0, longestMessage)}…` : error.message,
        nonRetryable: true,
        details: [{ transient: error.transient, ...boundedDetails(error) }],
      });
    }
  }
}

/** Short values only: lists stay where they are, in the database or the log. */
function boundedDetails({ details }: PenstockError): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(details).filter(
      ([, value]) => typeof value === 'number' || (typeof value === 'string' && value.length <= 500),
    ),
  );
}
