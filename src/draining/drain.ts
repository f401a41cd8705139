import { setTimeout as sleep } from 'node:timers/promises';

import { inLanes } from '../lanes';
import { activityOf } from '../syncs/workflow-activity';
import { drainReason } from './drain-reason';
import { beginDrain, findDrain } from './drain-rows';
import { DrainEnded, DrainIncomplete } from './errors';
import { askedAtOnce, pauseWorkflow, resumeWorkflow } from './pause-workflow';
import type { Pausing } from './pause-workflow';
import { listWorkflows } from './workflows';
import type { DrainPlace } from './workflows';

/** Milliseconds between two looks at workflows that come to rest. */
const interval = 300;

/** What a drain has done to a workflow. */
export interface DrainedWorkflow {
  readonly workflowId: string;
  /** `paused`: by the drain. `stays paused`: it was already, and the end of the drain leaves it so. `ended`: before it could be paused. */
  readonly state: 'paused' | 'stays paused' | 'ended';
  /** Why it is paused. */
  readonly reason: string | null;
}

/** How a drain is waited for. */
export interface DrainOptions {
  /** Milliseconds. */
  readonly timeout: number;
  /** Told which workflows are still at work, whenever these are others than before. */
  readonly onWaiting: (workflowIds: readonly string[]) => void;
  readonly signal: AbortSignal;
}

/**
 * Lets nothing begin to work any more, pauses what works, and waits until all is at rest. Where it is interrupted at any point, the
 * next drain goes on, or {@link undrain} takes back what there was.
 *
 * @returns what it has found, in the order of the ids
 * @throws {@link DrainIncomplete} where something is not at rest in time, or has no worker; {@link DrainEnded}
 */
export async function drain(
  place: DrainPlace,
  { timeout, onWaiting, signal }: DrainOptions,
): Promise<{ readonly since: Date; readonly workflows: readonly DrainedWorkflow[] }> {
  const deadline = Date.now() + timeout;
  const { since } = await beginDrain(place.pool);
  const asked = new Map<string, Pausing>();
  for (let waiting = ''; ;) {
    const found = await listWorkflows(place);
    const working = await filter(found, async (id) => (await activityOf(place.client, id)) !== 'over');
    await inLanes(
      working.filter((id) => !asked.has(id)),
      askedAtOnce,
      async (id) => {
        asked.set(id, await pauseWorkflow(place, id));
      },
    );
    if (!(await findDrain(place.pool))) throw await takeBack(place, asked);
    const answered = working.filter((id) => asked.get(id)?.kind !== 'unanswered');
    const busy = await filter(answered, async (id) => (await activityOf(place.client, id)) === 'busy');
    if (busy.length === 0) return { since, workflows: await summarize(place, asked) };
    if (Date.now() > deadline) throw tooLate(busy, timeout);
    if (waiting !== busy.join()) onWaiting(busy);
    waiting = busy.join();
    await sleep(interval, undefined, { signal });
  }
}

/** What was paused just when the drain was ended may have been overlooked then. */
async function takeBack(place: DrainPlace, asked: ReadonlyMap<string, Pausing>): Promise<DrainEnded> {
  await inLanes(asked.keys(), askedAtOnce, async (id) => {
    await resumeWorkflow(place, id);
  });
  return new DrainEnded();
}

async function summarize(place: DrainPlace, asked: ReadonlyMap<string, Pausing>): Promise<DrainedWorkflow[]> {
  const running = new Set(await filter(asked.keys(), async (id) => (await activityOf(place.client, id)) !== 'over'));
  const unheard = [...asked].filter(([id, { kind }]) => kind === 'unanswered' && running.has(id)).map(([id]) => id);
  if (unheard.length > 0) {
    throw new DrainIncomplete(
      `No worker has answered for ${unheard.join(', ')}, which may go on once there is one. Start one with "penstock worker", and drain again; all else is at rest. Nothing new begins, until "penstock undrain".`,
      { workflows: unheard.length },
    );
  }
  const workflows = [...asked].map(([workflowId, pausing]): DrainedWorkflow => {
    if (pausing.kind !== 'paused' || !running.has(workflowId)) return { workflowId, state: 'ended', reason: null };
    const { reason } = pausing;
    return { workflowId, state: reason === drainReason ? 'paused' : 'stays paused', reason };
  });
  return workflows.sort((a, b) => a.workflowId.localeCompare(b.workflowId));
}

function tooLate(busy: readonly string[], timeout: number): DrainIncomplete {
  return new DrainIncomplete(
    `${busy.join(', ')}: still at work after ${timeout / 1000} s. Nothing new begins, and what is paused stays so, until "penstock undrain". To wait on: penstock drain`,
    { workflows: busy.length },
  );
}

async function filter(ids: Iterable<string>, holds: (id: string) => Promise<boolean>): Promise<string[]> {
  const held: string[] = [];
  await inLanes(ids, askedAtOnce, async (id) => {
    if (await holds(id)) held.push(id);
  });
  return held.sort();
}
