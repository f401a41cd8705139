import { inLanes } from '../lanes';
import { endDrain, listDrained } from './drain-rows';
import { DrainIncomplete } from './errors';
import { askedAtOnce, resumeWorkflow } from './pause-workflow';
import type { Resuming } from './pause-workflow';
import type { DrainPlace } from './workflows';

/** What the end of a drain has done to a workflow that the drain had paused. */
export interface UndrainedWorkflow {
  readonly workflowId: string;
  /** `left`: somebody has resumed it meanwhile, or paused it for another reason. `ended`: it does not run any more. */
  readonly state: Exclude<Resuming, 'unanswered'>;
}

/**
 * Ends a drain: everything may begin to work, and what the drain has paused goes on.
 *
 * @returns `drained` false where no drain held; what an earlier call has not reached is resumed nevertheless
 * @throws {@link DrainIncomplete} where no worker answers for what is to be resumed
 */
export async function undrain(
  place: DrainPlace,
): Promise<{ readonly drained: boolean; readonly workflows: readonly UndrainedWorkflow[] }> {
  const drained = await endDrain(place.pool);
  const workflows: UndrainedWorkflow[] = [];
  const unheard: string[] = [];
  await inLanes(await listDrained(place.pool), askedAtOnce, async (workflowId) => {
    const state = await resumeWorkflow(place, workflowId);
    if (state === 'unanswered') unheard.push(workflowId);
    else workflows.push({ workflowId, state });
  });
  if (unheard.length > 0) {
    throw new DrainIncomplete(
      `No worker has answered for ${unheard.sort().join(', ')}. Start one with "penstock worker", and say "penstock undrain" again; all else goes on.`,
      { workflows: unheard.length },
    );
  }
  return { drained, workflows: workflows.sort((a, b) => a.workflowId.localeCompare(b.workflowId)) };
}
