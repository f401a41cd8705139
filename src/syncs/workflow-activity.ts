import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';

/** The type of the failure of an activity that is held back while Penstock is drained. */
export const heldBack = 'Drained';

/** What a workflow does: `idle`: it runs, and does nothing unless it hears something. */
export type WorkflowActivity = 'over' | 'idle' | 'busy';

/** Whether anything of a workflow is under way; what waits until Penstock is no longer drained is not. */
export async function activityOf(client: Client, workflowId: string): Promise<WorkflowActivity> {
  try {
    const { status, raw } = await client.workflow.getHandle(workflowId).describe();
    if (status.name !== 'RUNNING') return 'over';
    // Where not even a workflow task is open, the workflow has done all that it does unless it hears something.
    const waits = (raw.pendingActivities ?? []).every(
      ({ state, lastFailure }) => Number(state) === scheduled && lastFailure?.applicationFailureInfo?.type === heldBack,
    );
    return waits && !raw.pendingWorkflowTask ? 'idle' : 'busy';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'over';
    throw error;
  }
}

/** temporal.api.enums.v1.PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED: no worker has it. */
const scheduled = 1;
