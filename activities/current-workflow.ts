import { Context } from '@temporalio/activity';
import type { WorkflowHandle } from '@temporalio/client';

/** The sync that this attempt of an activity works for. */
export interface CurrentWorkflow {
  readonly workflowId: string;
  readonly runId: string;
  /** Reaches the workflow whichever of its runs is the current one. */
  readonly handle: WorkflowHandle;
}

/** The workflow that has scheduled this activity. */
export function currentWorkflow(): CurrentWorkflow {
  const { client, info } = Context.current();
  if (!info.workflowExecution) throw new Error(`Activity ${info.activityType} was started outside a workflow.`);
  const { workflowId, runId } = info.workflowExecution;
  return { workflowId, runId, handle: client.workflow.getHandle(workflowId) };
}

/**
 * The time, in milliseconds, at which Temporal's server scheduled this attempt. A later attempt has a higher one, also after
 * a reset, in a new run, or for a new sync that resumes: the database refuses what an attempt writes after a later one began.
 */
export function currentFence(): number {
  return Context.current().info.currentAttemptScheduledTimestampMs;
}
