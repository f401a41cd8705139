import type { Client, WorkflowHandle } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';

import type { SyncOutcome } from '../../activities/complete-version';
import type { OpenVersionInput } from '../../activities/open-version';
import type { AllowedMissing } from '../models/sync-models';

/** The type of the workflow, as workers know it. */
export const syncWorkflowType = 'syncRepository';

/** What a sync is started with, and what it ends with; the workflow itself is started by its name. */
export type SyncRequest = OpenVersionInput & { readonly allowMissing?: AllowedMissing };
export type SyncResult = SyncOutcome & { readonly skipped: boolean };
export type SyncWorkflow = (input: SyncRequest) => Promise<SyncResult>;
export type SyncHandle = WorkflowHandle<SyncWorkflow>;

/** A workflow that syncs a repository: all its runs, from the first one on. */
export interface SyncExecution {
  readonly workflowId: string;
  /** Of the first run, as the workflow may have continued as new since. */
  readonly runId: string;
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
  try {
    const { status, runId, startTime, raw } = await client.workflow.getHandle(workflowId).describe();
    if (status.name !== 'RUNNING') return undefined;
    const first = raw.workflowExecutionInfo?.firstRunId;
    return {
      workflowId,
      runId: first === undefined || first === null || first === '' ? runId : first,
      startedAt: startTime,
    };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** A handle that follows the workflow through the runs that continue it, and to no later sync; what it asks, it asks the current run. */
export function handleOf(client: Client, { workflowId, runId }: SyncExecution): SyncHandle {
  return client.workflow.getHandle<SyncWorkflow>(workflowId, undefined, { firstExecutionRunId: runId });
}
