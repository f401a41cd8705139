import type { Client } from '@temporalio/client';
import { Op, QueryTypes } from 'sequelize';
import type { Sequelize, WhereAttributeHash, WhereOptions } from 'sequelize';

import type { HostWait } from '../../activities/download-waits';
import { Repository, RepositoryVersion } from '../models/repository-models';
import { Sync, SyncProgress } from '../models/sync-models';
import type { SyncFailure, SyncLimits, SyncPause, SyncState } from '../models/sync-models';
import { findRepository } from '../repositories/repositories';
import { SyncNotFound, quoted } from './errors';
import { findRunning } from './sync-workflow';
import type { SyncExecution } from './sync-workflow';

/**
 * `paused`: it runs, and waits for somebody to resume it. `interrupted`: the row says that it runs, but no workflow works on it (it
 * was terminated, say); the next sync goes on with it, or it can be discarded.
 */
export type ShownState = SyncState | 'paused' | 'interrupted';

/** A sync as it is shown. */
export interface SyncView {
  readonly id: string;
  readonly repository: string;
  readonly state: ShownState;
  readonly mode: string;
  readonly policy: string;
  readonly url: string;
  /** The version that it has begun and not completed. */
  readonly incompleteVersion: number | null;
  readonly baseVersion: number;
  /** The newest version after it; the same as `baseVersion` where nothing had changed. */
  readonly resultVersion: number | null;
  /** How often it was started, resumptions included. */
  readonly runs: number;
  readonly workflowId: string;
  readonly runId: string;
  /** Files. */
  readonly downloaded: number;
  readonly downloadedBytes: number;
  /** Contents that it could not have, and did without. */
  readonly missing: number;
  readonly paused: SyncPause | null;
  /** What it may ask of upstream, where an operator has changed that. */
  readonly limits: SyncLimits | null;
  readonly startedAt: Date;
  readonly resumedAt: Date;
  readonly finishedAt: Date | null;
  readonly error: SyncFailure | null;
}

/** A line of progress as it is shown. */
export interface ProgressView {
  readonly code: string;
  readonly message: string;
  readonly state: string;
  readonly done: number;
  readonly total: number | null;
  readonly suffix: string | null;
}

/** Something that a sync could not have. */
export interface FailureView {
  readonly content: string;
  readonly path: string | null;
  readonly url: string | null;
  /** Of HTTP, where that is what was wrong. */
  readonly status: number | null;
  readonly expected: string | null;
  readonly found: string | null;
  readonly reason: string;
  readonly attempts: number | null;
  readonly transient: boolean;
}

/**
 * Syncs, the newest first.
 *
 * @param client - tells whether what runs by its row has a workflow; without it (Temporal does not run) the row is believed.
 * @throws {@link RepositoryNotFound}
 */
export async function listSyncs(
  client: Client | undefined,
  { repository, state, limit }: { readonly repository?: string; readonly state?: ShownState; readonly limit: number },
): Promise<SyncView[]> {
  const where: WhereOptions<Sync> = {
    ...(repository === undefined ? {} : { repositoryId: (await findRepository(repository)).id }),
    ...(state === undefined ? {} : whereShown(state)),
  };
  const syncs = await findAll(where, limit);
  const views = await Promise.all(syncs.map((sync) => viewSync(client, sync)));
  return state === undefined ? views : views.filter((view) => view.state === state);
}

/** What the rows alone say of a state; an interrupted sync may have been paused before. */
function whereShown(state: ShownState): WhereAttributeHash<Sync> {
  if (state === 'paused') return { state: 'running', paused: { [Op.not]: null } };
  if (state === 'running') return { state: 'running', paused: { [Op.is]: null } };
  return { state: state === 'interrupted' ? 'running' : state };
}

/**
 * One sync: by its id, or the newest of a repository.
 *
 * @throws {@link SyncNotFound}, {@link RepositoryNotFound}
 */
export async function findSync(idOrRepository: string): Promise<Sync> {
  const named = await Repository.findOne({ where: { name: idOrRepository } });
  const isId = /^\d{1,18}$/.test(idOrRepository);
  if (!named && !isId) await findRepository(idOrRepository);
  const [sync] = await findAll(named ? { repositoryId: named.id } : { id: idOrRepository }, 1);
  if (sync) return sync;
  throw new SyncNotFound(
    named
      ? `Repository "${idOrRepository}" was never synced. Sync it: penstock sync ${quoted(idOrRepository)}`
      : `There is no sync ${idOrRepository}, and no repository of this name. "penstock sync list" shows those that there are.`,
    { found: idOrRepository },
  );
}

/** The sync that a workflow works on, once it has opened its version; after a reset another run may have opened it. */
export async function findSyncOf({ runId, currentRunId }: SyncExecution): Promise<Sync | undefined> {
  const [sync] = await findAll({ runId: { [Op.in]: [runId, currentRunId] } }, 1);
  return sync;
}

/** A sync as it is shown; see {@link listSyncs} for the client. */
export async function viewSync(client: Client | undefined, sync: Sync): Promise<SyncView> {
  const repository = sync.repository?.name ?? '';
  const state = await shownState(client, sync, repository);
  return {
    id: sync.id,
    repository,
    state,
    mode: sync.mode,
    policy: sync.policy,
    url: sync.url,
    incompleteVersion: sync.version && !sync.version.complete ? sync.version.number : null,
    baseVersion: sync.baseVersion,
    resultVersion: sync.resultVersion,
    runs: sync.runs,
    workflowId: sync.workflowId,
    runId: sync.runId,
    downloaded: sync.downloaded,
    downloadedBytes: Number(sync.downloadedBytes),
    missing: sync.missing,
    paused: state === 'paused' ? sync.paused : null,
    limits: sync.state === 'running' ? sync.limits : null,
    startedAt: sync.startedAt,
    resumedAt: sync.resumedAt,
    finishedAt: sync.finishedAt,
    error: sync.error,
  };
}

async function shownState(
  client: Client | undefined,
  { state, paused }: Sync,
  repository: string,
): Promise<ShownState> {
  if (state !== 'running') return state;
  if (client && !(await findRunning(client, repository))) return 'interrupted';
  return paused ? 'paused' : 'running';
}

/** Why a sync that runs stands still: it is paused, or hosts have asked it to wait. */
export interface Standstill {
  readonly paused: SyncPause | null;
  readonly waits: readonly HostWait[];
}

/** What a sync that runs waits for now; of each host, the wait that ends last. */
export async function readStandstill(sequelize: Sequelize, syncId: string): Promise<Standstill> {
  const rows = await sequelize.query<{ paused: SyncPause | null; waits: HostWait[] | null }>(
    `select sync.paused,
            (select json_agg(latest order by latest.host)
               from (select distinct on (wait.host) wait.host, wait.reason, wait.until
                       from sync_batches batch
                      cross join jsonb_to_recordset(batch.waiting) as wait (host text, reason text, until timestamptz)
                      where batch.sync_id = sync.id and sync.paused is null and wait.until > now()
                      order by wait.host, wait.until desc) latest) as waits
       from syncs sync where sync.id = ? and sync.state = 'running'`,
    { replacements: [syncId], type: QueryTypes.SELECT },
  );
  return { paused: rows[0]?.paused ?? null, waits: rows[0]?.waits ?? [] };
}

const progressOrder = [
  'sync.was_skipped',
  'sync.downloading.metadata',
  'sync.parsing.metadata',
  'sync.downloading.artifacts',
  'associating.content',
  'unassociating.content',
];

/** How far a sync is, in the order in which its parts begin. */
export async function readProgress(syncId: string): Promise<ProgressView[]> {
  const lines = await SyncProgress.findAll({ where: { syncId } });
  return lines
    .map(({ code, message, state, done, total, suffix }) => ({
      code,
      message,
      state,
      done: Number(done),
      total: total === null ? null : Number(total),
      suffix,
    }))
    .sort((a, b) => progressOrder.indexOf(a.code) - progressOrder.indexOf(b.code));
}

/** What a sync could not have, as far as it is known, or did without; it is forgotten once the sync is discarded. */
export async function listFailures(
  sequelize: Sequelize,
  syncId: string,
  limit: number,
): Promise<{ readonly total: number; readonly failures: readonly FailureView[] }> {
  const rows = await sequelize.query<{
    content: string;
    path: string | null;
    error: Partial<Omit<FailureView, 'content' | 'path'>> & { readonly message?: string };
    total: number;
  }>(
    `select content, path, error, count(*) over ()::int as total
       from sync_failures where sync_id = ? order by batch, unit_id, path limit ?`,
    { replacements: [syncId, limit], type: QueryTypes.SELECT },
  );
  const failures = rows.map(({ content, path, error }) => ({
    content,
    path,
    url: error.url ?? null,
    status: error.status ?? null,
    expected: error.expected ?? null,
    found: error.found ?? null,
    reason: error.message ?? 'unknown',
    attempts: error.attempts ?? null,
    transient: error.transient ?? false,
  }));
  return { total: rows[0]?.total ?? 0, failures };
}

async function findAll(where: WhereOptions<Sync>, limit: number): Promise<Sync[]> {
  return Sync.findAll({
    where,
    order: [['id', 'desc']],
    limit,
    include: [
      { model: Repository, as: 'repository' },
      { model: RepositoryVersion, as: 'version' },
    ],
  });
}
