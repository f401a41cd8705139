import type { Client } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';

import type { CleaningRequest } from '../../activities/clean-storage';
import type { DownloadRequest } from '../../activities/download-version';
import type { ReclaimRequest } from '../../activities/reclaim-storage';
import type { RefreshRequest } from '../../activities/refresh-alternate';
import type { RepairRequest } from '../../activities/repair-artifacts';
import type { RefreshProgress } from '../alternates/refreshes';
import type { CleaningProgress } from '../cleaning/cleaning';
import { PenstockError } from '../errors';
import type { DownloadProgress } from '../fetching/version-download';
import type { ReclaimProgress } from '../reclaiming/reclaim';
import type { RepairProgress } from '../repairing/repair';
import { findRunningWorkflow, handleOf } from '../syncs/sync-workflow';
import type { SyncExecution } from '../syncs/sync-workflow';

/** A kind of maintenance: one workflow at a time for what it works on, by its id. */
export interface MaintenanceKind<Request, Result> {
  /** The type of the workflow, as workers know it. */
  readonly type: string;
  /** The id of the workflow. */
  idOf(request: Request, taskQueue: string): string;
  /** What two requests that may share a workflow agree in. */
  scopeOf(request: Request): unknown;
  readonly result?: Result;
}

export const repairKind: MaintenanceKind<RepairRequest, RepairProgress> = {
  type: 'repairArtifacts',
  idOf: (_, taskQueue) => `repair/${taskQueue}`,
  scopeOf: ({ repository, missingOnly }) => ({ repository, missingOnly }),
};

export const cleanKind: MaintenanceKind<CleaningRequest, CleaningProgress> = {
  type: 'cleanStorage',
  idOf: (_, taskQueue) => `clean/${taskQueue}`,
  scopeOf: (request) => request,
};

export const downloadKind: MaintenanceKind<DownloadRequest, DownloadProgress> = {
  type: 'downloadVersion',
  idOf: ({ repository }) => `download/${repository}`,
  scopeOf: (request) => request,
};

export const reclaimKind: MaintenanceKind<ReclaimRequest, ReclaimProgress> = {
  type: 'reclaimStorage',
  idOf: ({ repository }) => `reclaim/${repository}`,
  scopeOf: (request) => request,
};

export const refreshKind: MaintenanceKind<RefreshRequest, RefreshProgress> = {
  type: 'refreshAlternateContentSource',
  idOf: ({ alternate }) => `refresh/${alternate}`,
  scopeOf: (request) => request,
};

/** One with other options runs already. */
export class MaintenanceRunning extends PenstockError {
  override readonly transient = true;

  constructor(workflowId: string, asked: unknown, running: unknown) {
    const [expected, found] = [JSON.stringify(asked), JSON.stringify(running)];
    super(
      `Workflow ${workflowId} runs already, with other options: ${found}, and asked for is ${expected}. Wait for its end, or cancel it in Temporal's Web UI.`,
      { workflowId, expected, found },
    );
  }
}

/** What starts maintenance. */
export interface MaintenanceStarter {
  readonly client: Client;
  readonly taskQueue: string;
  /** Ends one with other options that nobody follows any more, instead of refusing. */
  readonly replaces: boolean;
}

/**
 * Starts maintenance, or attaches to one that runs with the same options.
 *
 * @throws {@link MaintenanceRunning}
 */
export async function startOrAttach<Request extends object, Result>(
  { client, taskQueue, replaces }: MaintenanceStarter,
  kind: MaintenanceKind<Request, Result>,
  request: Request,
  anew = false,
): Promise<SyncExecution & { readonly attached: boolean }> {
  const workflowId = kind.idOf(request, taskQueue);
  const scope = kind.scopeOf(request);
  for (;;) {
    const running = await findRunningWorkflow(client, workflowId);
    if (running) {
      const handle = handleOf(client, running);
      const found = (await handle.describe()).memo?.scope;
      if (!anew && JSON.stringify(found) === JSON.stringify(scope)) return { ...running, attached: true };
      if (!replaces) throw new MaintenanceRunning(workflowId, request, found);
      await handle.terminate('its services had stopped, and something else was asked for');
    }
    try {
      const startedAt = new Date();
      const handle = await client.workflow.start(kind.type, {
        workflowId,
        taskQueue,
        args: [request],
        workflowIdConflictPolicy: 'FAIL',
        memo: { scope },
      });
      const runId = handle.firstExecutionRunId;
      return { workflowId, runId, currentRunId: runId, startedAt, attached: false };
    } catch (error) {
      // Somebody was faster.
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  }
}
