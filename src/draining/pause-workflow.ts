import { pause, resumeFrom } from '../../workflows/messages';
import { askWorkflow } from '../syncs/ask-workflow';
import { drainReason } from './drain-reason';
import { forgetDrained, noteDrained } from './drain-rows';
import type { DrainPlace } from './workflows';

/** Workflows that are asked at once. */
export const askedAtOnce = 10;

/** How a workflow has answered to the drain; `reason`: the one that holds. */
export type Pausing = { readonly kind: 'paused'; readonly reason: string } | { readonly kind: 'ending' | 'unanswered' };

/** Asks a workflow to pause, and notes it where that is the drain's doing. */
export async function pauseWorkflow({ client, pool }: DrainPlace, workflowId: string): Promise<Pausing> {
  await noteDrained(pool, workflowId);
  const answer = await askWorkflow(client, client.workflow.getHandle(workflowId), (handle) =>
    handle.executeUpdate(pause, { args: [{ reason: drainReason }] }),
  );
  // What nobody has answered may be heard later.
  if (answer.kind === 'unanswered') return { kind: 'unanswered' };
  const reason = answer.kind === 'done' ? answer.result : undefined;
  if (reason !== drainReason) await forgetDrained(pool, workflowId);
  return reason === undefined ? { kind: 'ending' } : { kind: 'paused', reason };
}

/** What the end of a drain has done to a workflow: `left`: somebody has resumed it, or paused it again for another reason. */
export type Resuming = 'resumed' | 'left' | 'ended' | 'unanswered';

/** Lets a workflow go on, where it is paused by the drain. */
export async function resumeWorkflow({ client, pool }: DrainPlace, workflowId: string): Promise<Resuming> {
  const answer = await askWorkflow(client, client.workflow.getHandle(workflowId), (handle) =>
    handle.executeUpdate(resumeFrom, { args: [{ reason: drainReason }] }),
  );
  if (answer.kind === 'unanswered') return 'unanswered';
  await forgetDrained(pool, workflowId);
  if (answer.kind === 'ended') return 'ended';
  return answer.kind === 'done' ? 'resumed' : 'left';
}
