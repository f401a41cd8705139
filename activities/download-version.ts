import { setMaxListeners } from 'node:events';

import type { PoolClient } from 'pg';

import type { Digests } from '../src/downloads/digests';
import { digestsOfAll, downloadFromSources } from '../src/fetching/download-from-sources';
import { findSources } from '../src/fetching/find-sources';
import type { FileSource } from '../src/fetching/find-sources';
import { checkGlobs } from '../src/fetching/path-patterns';
import { SourceRemotes } from '../src/fetching/source-remotes';
import { countDeferred, nextDeferred, noteCursor, readDownload } from '../src/fetching/version-download';
import type { DeferredFile, DownloadProgress, DownloadRow, DownloadScope } from '../src/fetching/version-download';
import { inLanes } from '../src/lanes';
import { RepositoryNotFound } from '../src/models/sync-errors';
import { VersionNotFound } from '../src/repositories/errors';
import { findWholeFile } from '../src/storage/find-whole-file';
import { activitySignal } from './activity-signal';
import { currentFence, currentWorkflow } from './current-workflow';
import type { ActivityDependencies } from './dependencies';
import { FetchRecord } from './fetch-record';
import { inUndrainedTransaction } from './hold-while-drained';
import { describeHeartbeats } from './interceptors';
import { MaintenanceAttempt, endMaintenance, endTerminated, turn } from './maintenance-attempt';
import type { MaintenanceEnd } from './maintenance-attempt';
import { requireRoomFirst } from './storage-room';

/** What a download is asked to do. */
export interface DownloadRequest {
  readonly repository: string;
  /** Null: the newest complete one. */
  readonly version: number | null;
  /** Globs on relative paths, any of which has to match; none: everything. */
  readonly filters: readonly string[];
}

/** Files that are ready to go on when a slot comes back. */
const spareLanes = 8;

/** Begins a download, or goes on with the last one of the same that was interrupted. */
export const openDownload =
  ({ database, storage }: ActivityDependencies) =>
  async (request: DownloadRequest): Promise<{ readonly downloadId: string }> => {
    const { workflowId, runId } = currentWorkflow();
    checkGlobs(request.filters);
    return inUndrainedTransaction(database.pool, async (client) => {
      await endTerminated(client, 'downloads');
      const scope = await findScope(client, request);
      const { files, bytes, lacking } = await countDeferred(client, scope);
      await requireRoomFirst({ storage }, lacking);
      const of = [scope.repositoryId, scope.version, scope.filters, runId];
      const { rows: known } = await client.query<{ id: string; runId: string; state: string }>(
        `select id, run_id as "runId", state from downloads
          where run_id = $4 or (repository_id = $1 and version = $2 and filters = $3)
          order by run_id = $4 desc, id desc limit 1 for update`,
        of,
      );
      const [last] = known;
      if (last && (last.runId === runId || last.state !== 'completed')) {
        await client.query(
          `update downloads set state = 'running', workflow_id = $2, run_id = $3, fence = greatest(fence, $4),
                  resumed_at = now(), finished_at = null, error = null
            where id = $1`,
          [last.id, workflowId, runId, currentFence()],
        );
        return { downloadId: last.id };
      }
      const { rows } = await client.query<{ id: string }>(
        `insert into downloads (repository_id, version, filters, run_id, workflow_id, fence, state, total, total_bytes)
         values ($1, $2, $3, $4, $5, $6, 'running', $7, $8) returning id`,
        [...of, workflowId, currentFence(), files, bytes],
      );
      return { downloadId: rows[0]?.id ?? '' };
    });
  };

async function findScope(
  client: PoolClient,
  { repository, version, filters }: DownloadRequest,
): Promise<DownloadScope> {
  const { rows } = await client.query<{ repositoryId: string; version: number | null }>(
    `select repository.id as "repositoryId", max(version.number) as version
       from repositories repository
       left join repository_versions version
         on version.repository_id = repository.id and version.complete and ($2::integer is null or version.number = $2)
      where repository.name = $1 group by repository.id`,
    [repository, version],
  );
  const [found] = rows;
  if (!found) throw new RepositoryNotFound(repository);
  if (found.version === null) throw new VersionNotFound(repository, version ?? 0);
  return { repositoryId: found.repositoryId, version: found.version, filters };
}

/** Fetches deferred files for a while, from where the last one stopped. */
export const downloadBatch =
  (dependencies: ActivityDependencies) =>
  async ({ downloadId }: { readonly downloadId: string }): Promise<DownloadProgress> => {
    const { pool } = dependencies.database;
    const attempt = await MaintenanceAttempt.begin(pool, 'downloads', downloadId);
    // A pool for this download alone: as a sync, it may ask of each remote what that allows.
    const remotes = new SourceRemotes(dependencies, `download ${downloadId}`);
    const until = performance.now() + turn;
    let download = await readDownload(pool, downloadId);
    describeHeartbeats(() => ({ fetched: download.fetched, of: download.total }));
    let over = false;
    try {
      while (!over && performance.now() < until) {
        over = !(await fetchPage({ dependencies, attempt, remotes, until }, download));
        download = await readDownload(pool, downloadId);
      }
    } finally {
      await remotes.close();
    }
    const { repository, version, total, totalBytes, fetched, fetchedBytes, failed } = download;
    return { downloadId, repository, version, over, total, totalBytes, fetched, fetchedBytes, failed };
  };

/** A batch of a download at work. */
interface Fetching {
  readonly dependencies: ActivityDependencies;
  readonly attempt: MaintenanceAttempt;
  readonly remotes: SourceRemotes;
  /** No file is begun after it. */
  readonly until: number;
}

/** Returns whether there was anything left. */
async function fetchPage(fetching: Fetching, download: DownloadRow): Promise<boolean> {
  const { dependencies, attempt, until } = fetching;
  const page = await nextDeferred(attempt.pool, download);
  const [last] = page.slice(-1);
  if (!last) return false;
  const ids = page.map(({ id }) => id);
  const sources = await findSources(attempt.pool, ids);
  const lanes = (await concurrencyOf(attempt, sources)) + spareLanes;
  const record = new FetchRecord(attempt, dependencies.storage);
  // One that cannot be a matter of one file alone (a full disk, a lost database) ends the others too.
  const ended = new AbortController();
  const signal = AbortSignal.any([activitySignal(), ended.signal]);
  setMaxListeners(0, signal);
  const work = inLanes(page, Math.min(lanes, page.length), async (file, addLane) => {
    signal.throwIfAborted();
    if (performance.now() > until) return;
    await fetchFile(fetching, { file, sources: sources.get(file.id) ?? [], record, signal, addLane }).catch(
      (error: unknown) => {
        ended.abort(error);
        throw error;
      },
    );
  });
  try {
    await record.whileFetching(work);
  } catch (error) {
    ended.abort(error);
    // Nothing of this attempt may go on after it has ended, and what it has fetched is kept.
    await work.catch(() => undefined);
    await record.flush().catch(() => undefined);
    throw error;
  }
  const open = page.find(({ id }) => !record.settled.has(id)) ?? last;
  await attempt.transaction((client) => noteCursor(client, attempt.id, open.contentId));
  return true;
}

/** How many requests the remotes of these sources allow at once, all together. */
async function concurrencyOf(
  { pool }: MaintenanceAttempt,
  sources: ReadonlyMap<string, readonly FileSource[]>,
): Promise<number> {
  const remotes = new Set([...sources.values()].flat().map(({ remoteId }) => remoteId));
  const { rows } = await pool.query<{ concurrency: number }>(
    'select coalesce(sum(download_concurrency), 0)::int as concurrency from remotes where id = any($1::bigint[])',
    [[...remotes]],
  );
  return rows[0]?.concurrency ?? 0;
}

async function fetchFile(
  { dependencies: { storage, settings }, remotes }: Fetching,
  {
    file,
    sources,
    record,
    signal,
    addLane,
  }: {
    readonly file: DeferredFile;
    readonly sources: readonly FileSource[];
    readonly record: FetchRecord;
    readonly signal: AbortSignal;
    readonly addLane: () => void;
  },
): Promise<void> {
  const digests = digestsOfAll(sources);
  const promised = sources.map(({ origin, remoteId, urls, size }) => ({
    ...{ remoteId, urls, digests, size: size ?? undefined },
    once: origin.kind === 'alternate',
  }));
  const downloaded = await downloadFromSources(promised, {
    remotes,
    storage,
    signal,
    allowWeakDigests: settings.allowWeakDigests,
    findStored: (known: Digests, size) => findWholeFile(storage, known, size, signal),
    onWait: addLane,
  });
  if ('file' in downloaded) {
    const { sha256, size, digests: found } = downloaded.file;
    record.addFetched({ contentArtifactId: file.id, sha256, size, digests: found });
  } else {
    const urls = sources.flatMap((source) => source.urls);
    record.addUnfetched({ contentArtifactId: file.id, urls, reason: downloaded.reasons.join('\n') });
  }
}

/** Notes how a download has ended. */
export const endDownload =
  ({ database }: ActivityDependencies) =>
  (end: MaintenanceEnd): Promise<void> =>
    endMaintenance(database.pool, 'downloads', end);
