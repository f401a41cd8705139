import type { PoolClient } from 'pg';

import { lockRepository } from '../src/repositories/lock-repository';
import { beginVersion } from '../src/repositories/new-version';
import { removeStaging } from '../src/staging/discard-sync';
import type { Target } from '../src/syncs/find-target';
import { currentFence, currentWorkflow } from './current-workflow';
import type { OpenVersionInput } from './open-version';
import { notCurrent } from './stage';

/** Notes that nothing has changed; once for a run, also where this attempt is not the first, or not the only one. */
export async function skipSync(client: PoolClient, target: Target, input: OpenVersionInput): Promise<string> {
  await lockRepository(client, input.repository);
  const { rows } = await client.query<{ id: string }>(
    `select id from syncs where repository_id = $1 and run_id = $2 and state = 'skipped'`,
    [target.repositoryId, currentWorkflow().runId],
  );
  if (rows[0]) return rows[0].id;
  const syncId = await insertSync(client, target, input, 'skipped', null);
  await client.query(
    `insert into progress_reports (sync_id, code, message, state, done, total)
     values ($1, 'sync.was_skipped', 'Skipping Sync (no change from previous sync)', 'skipped', 1, 1)`,
    [syncId],
  );
  return syncId;
}

/**
 * Locks an open sync for this attempt; what any earlier attempt still does is refused from now on. Where a later attempt has
 * it, the error lets Temporal try again: that looks for the open sync anew.
 */
export async function takeOver(client: PoolClient, syncId: string): Promise<void> {
  const { rowCount } = await client.query(
    `update syncs set fence = $2 where id = $1 and fence <= $2 and state in ('running', 'failed', 'canceled')`,
    [syncId, currentFence()],
  );
  if (rowCount === 0) throw notCurrent(`Sync ${syncId}`, true);
}

/** Begins a version of a repository that is locked, and the sync that makes it. */
export async function beginSync(client: PoolClient, target: Target, input: OpenVersionInput): Promise<string> {
  await removeLeftOvers(client, target.repositoryId);
  const { versionId, baseVersion } = await beginVersion(client, target.repositoryId);
  // The newest version may have been deleted, or rolled back, since the target was looked for.
  const syncId = await insertSync(client, { ...target, latest: baseVersion }, input, 'running', versionId);
  await client.query(
    `with begun as (update syncs set discoveries = 1 where id = $1)
     insert into sync_discoveries (sync_id, number, step) values ($1, 1, 'start')`,
    [syncId],
  );
  return syncId;
}

/** What a sync that is over has left, where it was ended between its last transactions. */
async function removeLeftOvers(client: PoolClient, repositoryId: string): Promise<void> {
  const { rows } = await client.query<{ id: string }>(
    `select id from syncs
      where repository_id = $1 and state in ('completed', 'skipped', 'discarded')
        and (exists (select from sync_batches where sync_id = syncs.id)
             or exists (select from sync_discoveries where sync_id = syncs.id))`,
    [repositoryId],
  );
  for (const { id } of rows) await removeStaging(client, id);
}

async function insertSync(
  client: PoolClient,
  target: Target,
  input: OpenVersionInput,
  state: 'running' | 'skipped',
  versionId: string | null,
): Promise<string> {
  const { workflowId, runId } = currentWorkflow();
  const fence = currentFence();
  const { rows } = await client.query<{ id: string }>(
    `insert into syncs (repository_id, remote_id, version_id, state, mode, policy, url, base_version, result_version,
                        workflow_id, run_id, fence, finished_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, case when $4 = 'skipped' then $8::integer end, $9, $10, $11,
             case when $4 = 'skipped' then now() end)
     returning id`,
    [
      target.repositoryId,
      target.remoteId,
      versionId,
      state,
      input.mode,
      target.policy,
      target.url,
      target.latest,
      workflowId,
      runId,
      fence,
    ],
  );
  const id = rows[0]?.id;
  if (!id) throw new Error('an insert that succeeded returns its row');
  return id;
}

/** Takes an interrupted sync over. Whatever attempt of its activities is still alive somewhere can no longer write. */
export async function resumeSync(client: PoolClient, syncId: string, { mode }: OpenVersionInput): Promise<void> {
  const { runId } = currentWorkflow();
  const fence = currentFence();
  await takeOver(client, syncId);
  await client.query(
    `update sync_batches set fence = greatest(fence, $2), failed = 0 where sync_id = $1 and not finished`,
    [syncId, fence],
  );
  await client.query(`update sync_discoveries set fence = greatest(fence, $2) where sync_id = $1 and not finished`, [
    syncId,
    fence,
  ]);
  // What was refused is looked at again: the plugin, or what it asks, may have been mended.
  await client.query(
    `update staged_units unit set outcome = null, error = null
       from sync_batches batch
      where batch.sync_id = $1 and unit.batch_id = batch.id and unit.outcome = 'refused'`,
    [syncId],
  );
  await client.query(
    `update syncs set state = 'running', finished_at = null, error = null, paused = null, limits = null, mode = $2, run_id = $3,
            runs = runs + case when run_id = $3 then 0 else 1 end, resumed_at = now()
      where id = $1`,
    [syncId, mode, runId],
  );
}
