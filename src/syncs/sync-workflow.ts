import type { Client, WorkflowHandle } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { Workflow } from '@temporalio/common';

import type { SyncOutcome } from '../../activities/complete-version';
import type { OpenVersionInput } from '../../activities/open-version';
import type { AllowedMissing } from '../models/sync-models';

/** The type of the workflow, as workers know it. */
export const syncWorkflowType = 'syncRepository';

/** What a sync is started with, and what it ends with; the workflow itself is started by its name. */
export type SyncRequest = OpenVersionInput & { readonly allowMissing?: AllowedMissing };
export type SyncResult = SyncOutcome & { readonly skipped: boolean };
export type SyncWorkflow = (input: SyncRequest) => Promise<SyncResult>;

/** A workflow that syncs a repository: all its runs, from the first one on. */
export interface SyncExecution {
  readonly workflowId: string;
  /** Of the first run, as the workflow may have continued as new, or was reset, since. */
  readonly runId: string;
  /** Of the run that was the newest one when it was looked for. */
  readonly currentRunId: string;
  readonly startedAt: Date;
}

/** One sync at a time for a repository, by this id. */
export function workflowIdOf(repository: string): string {
  return `sync/${repository}`;
}

/** The workflow that syncs a repository now, if one does. */
export function findRunning(client: Client, repository: string): Promise<SyncExecution | undefined> {
  return findRunningWorkflow(client, workflowIdOf(repository));
}

/** The workflow of an id, if it runs now. */
export async function findRunningWorkflow(client: Client, workflowId: string): Promise<SyncExecution | undefined> {
  const newest = await findNewestWorkflow(client, workflowId);
  return newest?.running ? newest.execution : undefined;
}

/** The workflow of an id, whether or not it has ended. */
export async function findNewestWorkflow(
  client: Client,
  workflowId: string,
): Promise<{ readonly execution: SyncExecution; readonly running: boolean } | undefined> {
  try {
    const { status, runId, startTime, raw } = await client.workflow.getHandle(workflowId).describe();
    const first = raw.workflowExecutionInfo?.firstRunId;
    const execution = {
      workflowId,
      runId: first === undefined || first === null || first === '' ? runId : first,
      currentRunId: runId,
      startedAt: startTime,
    };
    return { execution, running: status.name === 'RUNNING' };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** A handle that reaches the workflow in whichever of its runs is the newest, and no later sync. */
export function handleOf<T extends Workflow>(
  client: Client,
  { workflowId, runId }: Pick<SyncExecution, 'workflowId' | 'runId'>,
): WorkflowHandle<T> {
  return client.workflow.getHandle<T>(workflowId, undefined, { firstExecutionRunId: runId });
}
