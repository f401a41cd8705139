import type { Client, WorkflowHandle } from '@temporalio/client';
import {
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';

/** Milliseconds that a worker has to answer. */
export const patience = 30_000;

/**
 * What has become of an update: it is done, or refused; the workflow does not run; or no worker was there to hear it, in which case
 * it may still be heard later.
 */
export type Answer<Result> =
  | { readonly kind: 'done'; readonly result: Result }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'ended' }
  | { readonly kind: 'unanswered' };

/** Sends an update, and waits for what becomes of it. */
export async function askWorkflow<Result>(
  client: Client,
  handle: WorkflowHandle,
  send: (handle: WorkflowHandle) => Promise<Result>,
): Promise<Answer<Result>> {
  try {
    return { kind: 'done', result: await client.withDeadline(Date.now() + patience, () => send(handle)) };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return { kind: 'ended' };
    if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) return { kind: 'unanswered' };
    const refused = error instanceof WorkflowUpdateFailedError ? error.cause : undefined;
    if (refused instanceof ApplicationFailure) return { kind: 'refused', message: refused.message };
    throw error;
  }
}
