import type { Client } from '@temporalio/client';
import { Op, QueryTypes } from 'sequelize';
import type { Sequelize, WhereOptions } from 'sequelize';

import { Repository, RepositoryVersion } from '../models/repository-models';
import { Sync, SyncProgress } from '../models/sync-models';
import type { SyncFailure, SyncState } from '../models/sync-models';
import { findRepository } from '../repositories/repositories';
import { SyncNotFound, quoted } from './errors';
import { findRunning } from './sync-workflow';

/** `interrupted`: the row says that it runs, but no workflow works on it (it was terminated, say); it can be resumed or discarded. */
export type ShownState = SyncState | 'interrupted';

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
    ...(state === undefined ? {} : { state: state === 'interrupted' ? 'running' : state }),
  };
  const syncs = await findAll(where, limit);
  const views = await Promise.all(syncs.map((sync) => viewSync(client, sync)));
  return state === undefined ? views : views.filter((view) => view.state === state);
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

/** The sync that a run of a workflow works on, once it has opened its version. */
export async function findSyncOfRun(runId: string): Promise<Sync | undefined> {
  const [sync] = await findAll({ runId: { [Op.eq]: runId } }, 1);
  return sync;
}

/** A sync as it is shown; see {@link listSyncs} for the client. */
export async function viewSync(client: Client | undefined, sync: Sync): Promise<SyncView> {
  const repository = sync.repository?.name ?? '';
  return {
    id: sync.id,
    repository,
    state: sync.state === 'running' && client && !(await findRunning(client, repository)) ? 'interrupted' : sync.state,
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
    startedAt: sync.startedAt,
    resumedAt: sync.resumedAt,
    finishedAt: sync.finishedAt,
    error: sync.error,
  };
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

/** What a sync could not have, as far as it is known; it is forgotten once the sync is completed or discarded. */
export async function listFailures(
  sequelize: Sequelize,
  syncId: string,
  limit: number,
): Promise<{ readonly total: number; readonly failures: readonly FailureView[] }> {
  const rows = await sequelize.query<{
    content: string;
    path: string | null;
    error: { message?: string; url?: string; attempts?: number; transient?: boolean };
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
