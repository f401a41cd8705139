import { ApplicationFailure, CancelledFailure, TerminatedFailure, WorkflowFailedError } from '@temporalio/client';
import type { WorkflowHandle } from '@temporalio/client';

import type { ErrorDetails } from '../errors';
import { SyncFailed, SyncStopped, quoted } from './errors';
import type { SyncHandle, SyncResult } from './sync-workflow';

/** What a workflow is called where it has ended otherwise than it should. */
export interface NamedWork {
  /** As `sync of "files"`. */
  readonly what: string;
  /** The command that goes on with it. */
  readonly again: string;
  readonly details: ErrorDetails;
}

/** Waits for the end of a sync, as {@link waitForWorkflow}. */
export function waitForSync(handle: SyncHandle, repository: string): Promise<SyncResult> {
  const again = `penstock sync ${quoted(repository)}`;
  return waitForWorkflow(handle, { what: `sync of "${repository}"`, again, details: { repository } });
}

/**
 * Waits for the end of a workflow, through all the runs that continue it.
 *
 * @throws {@link SyncFailed} with the message and the type of what went wrong, {@link SyncStopped}; any other error says
 *   nothing about the workflow, only about the connection.
 */
export async function waitForWorkflow<Result>(
  handle: Pick<WorkflowHandle<() => Promise<Result>>, 'result'>,
  work: NamedWork,
): Promise<Result> {
  try {
    return await handle.result();
  } catch (error) {
    if (error instanceof WorkflowFailedError) throw endOf(error, work);
    throw error;
  }
}

function endOf({ cause }: WorkflowFailedError, { what, again, details: about }: NamedWork): SyncFailed | SyncStopped {
  if (cause instanceof CancelledFailure) {
    return new SyncStopped(`The ${what} was canceled. It goes on where it stopped: ${again}`, about);
  }
  if (cause instanceof TerminatedFailure) {
    const why = cause.message ? ` (${cause.message})` : '';
    return new SyncStopped(`The ${what} was terminated${why}. It goes on where it stopped: ${again}`, about);
  }
  // An activity failure wraps what the activity has thrown.
  const root = cause?.cause instanceof ApplicationFailure ? cause.cause : cause;
  if (!(root instanceof ApplicationFailure)) {
    return new SyncFailed('SyncFailed', `The ${what} failed: ${root?.message ?? 'unknown'}`, about, true);
  }
  const details = root.details?.[0] as (Record<string, unknown> & { transient?: boolean }) | undefined;
  return new SyncFailed(
    root.type ?? 'SyncFailed',
    root.message,
    { ...about, ...details },
    // What no activity has thrown on purpose is most likely gone the next time.
    details?.transient ?? root.type === undefined,
  );
}
