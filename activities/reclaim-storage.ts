import type { PoolClient } from 'pg';

import { RepositoryNotFound } from '../src/models/sync-errors';
import { anyAge, readReclaim } from '../src/reclaiming/reclaim';
import type { ReclaimProgress } from '../src/reclaiming/reclaim';
import { reclaimPage } from '../src/reclaiming/reclaimable-artifacts';
import { VersionNotFound } from '../src/repositories/errors';
import { activitySignal } from './activity-signal';
import { currentFence, currentWorkflow } from './current-workflow';
import type { ActivityDependencies } from './dependencies';
import { inUndrainedTransaction } from './hold-while-drained';
import { describeHeartbeats } from './interceptors';
import { MaintenanceAttempt, endMaintenance, endTerminated, turn } from './maintenance-attempt';
import type { MaintenanceEnd } from './maintenance-attempt';

/** What a reclaim is asked to do. */
export interface ReclaimRequest {
  readonly repository: string;
  /** Versions whose files stay. */
  readonly keepVersions: readonly number[];
  /** Counts what would be freed, and changes nothing. */
  readonly dryRun: boolean;
}

/** Begins a reclaim, or goes on with the last one of the same that was interrupted. */
export const openReclaim =
  ({ database }: ActivityDependencies) =>
  async ({ repository, keepVersions, dryRun }: ReclaimRequest): Promise<{ readonly reclaimId: string }> => {
    const { workflowId, runId } = currentWorkflow();
    return inUndrainedTransaction(database.pool, async (client) => {
      await endTerminated(client, 'reclaims');
      const of = [await findScope(client, repository, keepVersions), keepVersions, dryRun];
      const { rows: known } = await client.query<{ id: string; runId: string; state: string }>(
        `select id, run_id as "runId", state from reclaims
          where repository_id = $1 and keep_versions = $2 and dry_run = $3 order by id desc limit 1 for update`,
        of,
      );
      const [last] = known;
      // A dry run that has stopped counts anew: what it has seen may be gone.
      if (last && (last.runId === runId || (!dryRun && last.state !== 'completed'))) {
        await client.query(
          `update reclaims set state = 'running', workflow_id = $2, run_id = $3, fence = greatest(fence, $4),
                  finished_at = null, error = null
            where id = $1`,
          [last.id, workflowId, runId, currentFence()],
        );
        return { reclaimId: last.id };
      }
      const { rows } = await client.query<{ id: string }>(
        `insert into reclaims (repository_id, keep_versions, dry_run, workflow_id, run_id, fence, state)
         values ($1, $2, $3, $4, $5, $6, 'running') returning id`,
        [...of, workflowId, runId, currentFence()],
      );
      return { reclaimId: rows[0]?.id ?? '' };
    });
  };

async function findScope(client: PoolClient, repository: string, keepVersions: readonly number[]): Promise<string> {
  const { rows } = await client.query<{ id: string; versions: number[] }>(
    `select id, array(select number from repository_versions where repository_id = repository.id and complete) as versions
       from repositories repository where name = $1`,
    [repository],
  );
  const [found] = rows;
  if (!found) throw new RepositoryNotFound(repository);
  const absent = keepVersions.find((version) => !found.versions.includes(version));
  if (absent !== undefined) throw new VersionNotFound(repository, absent);
  return found.id;
}

/** Reclaims for a while, from where the last one stopped. */
export const reclaimBatch =
  ({ database, storage }: ActivityDependencies) =>
  async ({ reclaimId }: { readonly reclaimId: string }): Promise<ReclaimProgress> => {
    const { pool } = database;
    const attempt = await MaintenanceAttempt.begin(pool, 'reclaims', reclaimId);
    const removal = { pool, storage, attempt, before: anyAge, signal: activitySignal() };
    let row = await readReclaim(pool, reclaimId);
    describeHeartbeats(() => ({ files: row.files, bytes: row.bytes }));
    for (const until = performance.now() + turn; !row.over && performance.now() < until;) {
      removal.signal.throwIfAborted();
      if (!(await reclaimPage({ ...removal, row }))) {
        await attempt.transaction((client) =>
          client.query('update reclaims set over = true where id = $1', [reclaimId]),
        );
      }
      row = await readReclaim(pool, reclaimId);
    }
    const { dryRun, over, contents, artifacts, files, bytes } = row;
    return { dryRun, over, contents, artifacts, files, bytes };
  };

/** Notes how a reclaim has ended. */
export const endReclaim =
  ({ database }: ActivityDependencies) =>
  (end: MaintenanceEnd): Promise<void> =>
    endMaintenance(database.pool, 'reclaims', end);
