import { randomUUID } from 'node:crypto';

import type { WorkflowHandle } from '@temporalio/client';

import type { Penstock } from './penstock';

/**
 * Resets a workflow to one of its workflow tasks that have completed, and returns the run that goes on from there.
 *
 * @param place - the first task for 0, the last for 1
 */
export async function resetWorkflow(
  { client }: Penstock,
  workflow: WorkflowHandle,
  place: number,
): Promise<WorkflowHandle> {
  const { workflowId } = workflow;
  const { runId } = await workflow.describe();
  const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  const tasks = (events ?? []).filter((event) => event.workflowTaskCompletedEventAttributes);
  const answer = await client.connection.workflowService.resetWorkflowExecution({
    namespace: client.options.namespace,
    workflowExecution: { workflowId, runId },
    reason: 'for the test',
    requestId: randomUUID(),
    workflowTaskFinishEventId: tasks.at(place < 0 ? place : Math.round(place * (tasks.length - 1)))?.eventId ?? null,
  });
  return client.workflow.getHandle(workflowId, answer.runId);
}
