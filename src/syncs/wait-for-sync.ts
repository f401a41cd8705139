import { ApplicationFailure, CancelledFailure, TerminatedFailure, WorkflowFailedError } from '@temporalio/client';
import type { Client } from '@temporalio/client';

import type { ErrorDetails } from '../errors';
import { SyncFailed, SyncStopped, quoted } from './errors';
import { findNewestWorkflow } from './sync-workflow';
import type { SyncExecution, SyncResult } from './sync-workflow';

/** What a workflow is called where it has ended otherwise than it should. */
export interface NamedWork {
  /** As `sync of "files"`. */
  readonly what: string;
  /** The command that goes on with it. */
  readonly again: string;
  readonly details: ErrorDetails;
}

/** Waits for the end of a sync, as {@link waitForWorkflow}. */
export function waitForSync(client: Client, execution: SyncExecution, repository: string): Promise<SyncResult> {
  const again = `penstock sync ${quoted(repository)}`;
  return waitForWorkflow(client, execution, { what: `sync of "${repository}"`, again, details: { repository } });
}

/**
 * Waits for the end of a workflow, through all the runs that continue it, and through resets.
 *
 * @throws {@link SyncFailed} with the message and the type of what went wrong, {@link SyncStopped}; any other error says
 *   nothing about the workflow, only about the connection.
 */
export async function waitForWorkflow<Result>(
  client: Client,
  execution: SyncExecution,
  work: NamedWork,
): Promise<Result> {
  let { runId } = execution;
  for (;;) {
    try {
      return await client.workflow.getHandle<() => Promise<Result>>(execution.workflowId, runId).result();
    } catch (error) {
      if (!(error instanceof WorkflowFailedError)) throw error;
      const next = error.cause instanceof TerminatedFailure ? await newestRunOf(client, execution) : undefined;
      if (next === undefined || next === runId) throw endOf(error, work);
      runId = next;
    }
  }
}

/** The newest run of a workflow: a reset terminates a run, and begins another one that goes on in its place. */
async function newestRunOf(client: Client, { workflowId, runId }: SyncExecution): Promise<string | undefined> {
  const newest = await findNewestWorkflow(client, workflowId);
  return newest?.execution.runId === runId ? newest.execution.currentRunId : undefined;
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
