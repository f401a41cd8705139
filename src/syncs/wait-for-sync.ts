import { ApplicationFailure, CancelledFailure, TerminatedFailure, WorkflowFailedError } from '@temporalio/client';

import { SyncFailed, SyncStopped, quoted } from './errors';
import type { SyncHandle, SyncResult } from './sync-workflow';

/**
 * Waits for the end of a sync, through all the runs that continue it.
 *
 * @throws {@link SyncFailed} with the message and the type of what went wrong, {@link SyncStopped}; any other error says
 *   nothing about the sync, only about the connection.
 */
export async function waitForSync(handle: SyncHandle, repository: string): Promise<SyncResult> {
  try {
    return await handle.result();
  } catch (error) {
    if (error instanceof WorkflowFailedError) throw endOf(error, repository);
    throw error;
  }
}

function endOf({ cause }: WorkflowFailedError, repository: string): SyncFailed | SyncStopped {
  const again = `penstock sync ${quoted(repository)}`;
  if (cause instanceof CancelledFailure) {
    return new SyncStopped(`The sync of "${repository}" was canceled. It goes on where it stopped: ${again}`, {
      repository,
    });
  }
  if (cause instanceof TerminatedFailure) {
    const why = cause.message ? ` (${cause.message})` : '';
    return new SyncStopped(`The sync of "${repository}" was terminated${why}. It goes on where it stopped: ${again}`, {
      repository,
    });
  }
  // An activity failure wraps what the activity has thrown.
  const root = cause?.cause instanceof ApplicationFailure ? cause.cause : cause;
  if (!(root instanceof ApplicationFailure)) {
    return new SyncFailed(
      'SyncFailed',
      `The sync of "${repository}" failed: ${root?.message ?? 'unknown'}`,
      { repository },
      true,
    );
  }
  const details = root.details?.[0] as (Record<string, unknown> & { transient?: boolean }) | undefined;
  return new SyncFailed(
    root.type ?? 'SyncFailed',
    root.message,
    { repository, ...details },
    // What no activity has thrown on purpose is most likely gone the next time.
    details?.transient ?? root.type === undefined,
  );
}
