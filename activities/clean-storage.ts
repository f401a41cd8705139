import { cleaningPhases, readCleaning } from '../src/cleaning/cleaning';
import type { CleaningPhase, CleaningProgress, CleaningStep } from '../src/cleaning/cleaning';
import { removeFinishedStaging } from '../src/cleaning/finished-staging';
import { removeUnusedArtifacts } from '../src/cleaning/unused-artifacts';
import { removeUnusedContents } from '../src/cleaning/unused-contents';
import { removeUnusedFiles } from '../src/cleaning/unused-files';
import { activitySignal } from './activity-signal';
import { currentFence, currentWorkflow } from './current-workflow';
import type { ActivityDependencies } from './dependencies';
import { inUndrainedTransaction } from './hold-while-drained';
import { describeHeartbeats } from './interceptors';
import { MaintenanceAttempt, endMaintenance, endTerminated, turn } from './maintenance-attempt';
import type { MaintenanceEnd } from './maintenance-attempt';

/** What a cleaning is asked to do. */
export interface CleaningRequest {
  /** Seconds: what is younger stays. */
  readonly protectionSeconds: number;
  /** Counts what would be freed, and removes nothing. */
  readonly dryRun: boolean;
}

const steps: Readonly<Record<(typeof cleaningPhases)[number], CleaningStep>> = {
  staging: removeFinishedStaging,
  contents: removeUnusedContents,
  artifacts: removeUnusedArtifacts,
  files: removeUnusedFiles,
};

/** Begins a cleaning; once for a workflow, also where this attempt is not the first. */
export const openCleaning =
  ({ database }: ActivityDependencies) =>
  async ({ protectionSeconds, dryRun }: CleaningRequest): Promise<{ readonly cleaningId: string }> => {
    const { workflowId, runId } = currentWorkflow();
    return inUndrainedTransaction(database.pool, async (client) => {
      // What such a one has removed stays so, and there is nothing to go on with.
      await endTerminated(client, 'cleanings');
      const { rows } = await client.query<{ id: string }>(
        `with known as (select id from cleanings where run_id = $2),
              begun as (
                insert into cleanings (workflow_id, run_id, fence, protection_seconds, dry_run, state)
                select $1, $2, $3, $4, $5, 'running' where not exists (select from known) returning id)
         select id from known union all select id from begun`,
        [workflowId, runId, currentFence(), protectionSeconds, dryRun],
      );
      return { cleaningId: rows[0]?.id ?? '' };
    });
  };

/** Cleans for a while, from where the last one stopped. */
export const cleanBatch =
  ({ database, storage }: ActivityDependencies) =>
  async ({ cleaningId }: { readonly cleaningId: string }): Promise<CleaningProgress> => {
    const { pool } = database;
    const attempt = await MaintenanceAttempt.begin(pool, 'cleanings', cleaningId);
    const { before, progress: begun } = await readCleaning(pool, cleaningId);
    const cleaning = { pool, storage, attempt, dryRun: begun.dryRun, before, signal: activitySignal() };
    let { phase, cursor } = begun;
    describeHeartbeats(() => ({ phase, cursor }));
    const until = performance.now() + turn;
    while (phase !== 'over' && performance.now() < until) {
      cleaning.signal.throwIfAborted();
      const next = await steps[phase](cleaning, cursor);
      if (next === undefined) phase = await enterNext(attempt, phase);
      cursor = next ?? '0';
    }
    return (await readCleaning(pool, cleaningId)).progress;
  };

async function enterNext(attempt: MaintenanceAttempt, phase: CleaningPhase): Promise<CleaningPhase> {
  const next = cleaningPhases.find((_, index) => cleaningPhases[index - 1] === phase) ?? 'over';
  await attempt.transaction((client) =>
    client.query('update cleanings set phase = $2, cursor = 0 where id = $1', [attempt.id, next]),
  );
  return next;
}

/** Notes how a cleaning has ended. */
export const endCleaning =
  ({ database }: ActivityDependencies) =>
  (end: MaintenanceEnd): Promise<void> =>
    endMaintenance(database.pool, 'cleanings', end);
