import { findFault } from '../src/consistency/artifact-file';
import type { Fault } from '../src/consistency/artifact-file';
import { AlternateFiles } from '../src/fetching/alternate-files';
import { SourceRemotes } from '../src/fetching/source-remotes';
import { inLanes } from '../src/lanes';
import { RepositoryNotFound } from '../src/models/sync-errors';
import { countInScope, findSources, nextArtifacts, notePage, noteUnmended, readRepair } from '../src/repairing/repair';
import type { RepairProgress, RepairRow, Unmended } from '../src/repairing/repair';
import { activitySignal } from './activity-signal';
import { currentFence, currentWorkflow } from './current-workflow';
import type { ActivityDependencies } from './dependencies';
import { inUndrainedTransaction } from './hold-while-drained';
import { describeHeartbeats } from './interceptors';
import { MaintenanceAttempt, endMaintenance, endTerminated, turn } from './maintenance-attempt';
import type { MaintenanceEnd } from './maintenance-attempt';
import { mendArtifact } from './mend-artifact';
import type { Mending } from './mend-artifact';

/** What a repair is asked to do. */
export interface RepairRequest {
  /** Only what its versions hold; null: everything. */
  readonly repository: string | null;
  /** Looks whether files are there, with their sizes, and reads none. */
  readonly missingOnly: boolean;
  /** Begins at the beginning, also where a repair of the same was interrupted. */
  readonly restart: boolean;
}

/** Files that are read at once: one alone leaves disk and processor waiting for one another. */
const readAtOnce = 4;
/** Artifacts that are mended at once; each remote's limits hold as well. */
const mendedAtOnce = 20;

/** Begins a repair, or goes on with the last one of the same that was interrupted. */
export const openRepair =
  ({ database }: ActivityDependencies) =>
  async ({ repository, missingOnly, restart }: RepairRequest): Promise<{ readonly repairId: string }> => {
    const { workflowId, runId } = currentWorkflow();
    return inUndrainedTransaction(database.pool, async (client) => {
      await endTerminated(client, 'repairs');
      const { rows: repositories } = await client.query<{ id: string }>('select id from repositories where name = $1', [
        repository,
      ]);
      if (repository !== null && !repositories[0]) throw new RepositoryNotFound(repository);
      const repositoryId = repositories[0]?.id ?? null;
      const { rows: known } = await client.query<{ id: string; runId: string; state: string }>(
        `select id, run_id as "runId", state from repairs
          where workflow_id = $1 and repository_id is not distinct from $2 and missing_only = $3
          order by id desc limit 1 for update`,
        [workflowId, repositoryId, missingOnly],
      );
      const [last] = known;
      if (last && (last.runId === runId || (!restart && last.state !== 'completed'))) {
        await client.query(
          `update repairs set state = 'running', run_id = $2, fence = greatest(fence, $3), resumed_at = now(),
                  finished_at = null, error = null
            where id = $1`,
          [last.id, runId, currentFence()],
        );
        return { repairId: last.id };
      }
      const { rows } = await client.query<{ id: string }>(
        `insert into repairs (repository_id, workflow_id, run_id, fence, missing_only, state, total)
         values ($1, $2, $3, $4, $5, 'running', (${countInScope})) returning id`,
        [repositoryId, workflowId, runId, currentFence(), missingOnly],
      );
      return { repairId: rows[0]?.id ?? '' };
    });
  };

/** Repairs for a while, from where the last one stopped. */
export const repairBatch =
  (dependencies: ActivityDependencies) =>
  async ({ repairId }: { readonly repairId: string }): Promise<RepairProgress> => {
    const { pool } = dependencies.database;
    const attempt = await MaintenanceAttempt.begin(pool, 'repairs', repairId);
    const remotes = new SourceRemotes(dependencies, 'repair');
    const mending: Mending = { storage: dependencies.storage, remotes, signal: activitySignal() };
    let repair = await readRepair(pool, repairId);
    describeHeartbeats(() => ({ checked: repair.checked, of: repair.total }));
    let over = false;
    try {
      for (const until = performance.now() + turn; !over && performance.now() < until;) {
        mending.signal.throwIfAborted();
        over = !(await repairPage(attempt, mending, repair));
        repair = await readRepair(pool, repairId);
      }
    } finally {
      await remotes.close();
    }
    const { total, checked, checkedBytes, lost, rotten, mended, failed } = repair;
    return { repairId, over, total, checked, checkedBytes, lost, rotten, mended, failed };
  };

/** Returns whether there was anything left. */
async function repairPage(attempt: MaintenanceAttempt, mending: Mending, repair: RepairRow): Promise<boolean> {
  const { storage, signal } = mending;
  const page = await nextArtifacts(attempt.pool, repair);
  if (page.length === 0) return false;
  const found: Fault[] = [];
  await inLanes(page, readAtOnce, async (artifact) => {
    signal.throwIfAborted();
    const fault = await findFault(storage, artifact, { deep: !repair.missingOnly, signal });
    if (fault) found.push(fault);
  });
  const sources = await findSources(
    attempt.pool,
    found.map(({ artifact }) => artifact.key),
  );
  const faults = found.filter(({ artifact }) => sources.has(artifact.key));
  const alternates = await AlternateFiles.find(
    attempt.pool,
    faults.map(({ artifact }) => artifact),
  );
  const unmended: Unmended[] = [];
  await inLanes(faults, mendedAtOnce, async (fault) => {
    signal.throwIfAborted();
    const { artifact, kind } = fault;
    const originals = sources.get(artifact.key) ?? [];
    const remoteIds = originals.map(({ remoteId }) => remoteId);
    const elsewhere = alternates.of(artifact, remoteIds).map(({ remoteId, urls }) => ({ remoteId, urls, once: true }));
    const reason = await mendArtifact(mending, fault, [...elsewhere, ...originals]);
    if (reason !== undefined) {
      unmended.push({ artifactId: artifact.key, kind: kind === 'artifactFileMissing' ? 'lost' : 'rotten', reason });
    }
  });
  await storage.flush();
  const lost = faults.filter(({ kind }) => kind === 'artifactFileMissing').length;
  await attempt.transaction(async (client) => {
    await noteUnmended(client, attempt.id, unmended);
    await notePage(client, attempt.id, page, {
      lost,
      rotten: faults.length - lost,
      mended: faults.length - unmended.length,
    });
  });
  return true;
}

/** Notes how a repair has ended. */
export const endRepair =
  ({ database }: ActivityDependencies) =>
  (end: MaintenanceEnd): Promise<void> =>
    endMaintenance(database.pool, 'repairs', end);
