import type { MaintenanceTable } from '../../activities/maintenance-attempt';
import { readRefresh } from '../alternates/refreshes';
import type { Database } from '../models/database';
import { readCleaning } from '../cleaning/cleaning';
import { readDownload } from '../fetching/version-download';
import { readReclaim } from '../reclaiming/reclaim';
import { readRepair } from '../repairing/repair';
import type { ProgressView } from '../syncs/sync-views';

type Pool = Database['pool'];

/** What a workflow works on, by the rows of its kind; `undefined` as long as it has not begun. */
async function findRow(
  pool: Pool,
  table: MaintenanceTable,
  runId: string,
): Promise<{ readonly id: string; readonly state: string } | undefined> {
  const { rows } = await pool.query<{ id: string; state: string }>(`select id, state from ${table} where run_id = $1`, [
    runId,
  ]);
  return rows[0];
}

/** How far the repair of a workflow is; nothing as long as it has not begun. */
export async function repairProgress(pool: Pool, runId: string): Promise<ProgressView[]> {
  const row = await findRow(pool, 'repairs', runId);
  if (!row) return [];
  const { checked, total, checkedBytes, mended, failed } = await readRepair(pool, row.id);
  const suffix = `${checkedBytes} bytes, ${mended} mended, ${failed} not`;
  return [{ code: 'repair.artifacts', message: 'Checking Artifacts', state: row.state, done: checked, total, suffix }];
}

/** How much the cleaning of a workflow has freed; nothing as long as it has not begun. */
export async function cleaningProgress(pool: Pool, runId: string): Promise<ProgressView[]> {
  const row = await findRow(pool, 'cleanings', runId);
  if (!row) return [];
  const { id, state } = row;
  const { contents, artifacts, files } = (await readCleaning(pool, id)).progress;
  const line = (code: string, message: string, done: number) => ({
    ...{ code: `clean.${code}`, message, state, done, total: null, suffix: null },
  });
  return [
    line('contents', 'Removing Contents', contents),
    line('artifacts', 'Removing Artifacts', artifacts),
    line('files', 'Removing Files', files),
  ];
}

/** How far the download of a workflow is; nothing as long as it has not begun. */
export async function downloadProgress(pool: Pool, runId: string): Promise<ProgressView[]> {
  const row = await findRow(pool, 'downloads', runId);
  if (!row) return [];
  const { fetched, total, fetchedBytes, totalBytes, failed } = await readDownload(pool, row.id);
  const suffix = `${fetchedBytes} of ${totalBytes} bytes, ${failed} not to be had`;
  const line = {
    code: 'download.artifacts',
    message: 'Fetching Files',
    state: row.state,
    done: fetched,
    total,
    suffix,
  };
  return [line];
}

/** How much the reclaim of a workflow has freed; nothing as long as it has not begun. */
export async function reclaimProgress(pool: Pool, runId: string): Promise<ProgressView[]> {
  const row = await findRow(pool, 'reclaims', runId);
  if (!row) return [];
  const { files, bytes } = await readReclaim(pool, row.id);
  const suffix = `${bytes} bytes`;
  return [{ code: 'reclaim.files', message: 'Removing Files', state: row.state, done: files, total: null, suffix }];
}

/** A file that a download could not have. */
export interface DownloadFailureView {
  readonly content: string;
  readonly path: string;
  readonly urls: readonly string[];
  readonly reason: string;
}

/** What a download could not have, in the order of the contents. */
export async function listDownloadFailures(
  pool: Pool,
  downloadId: string,
  limit: number,
): Promise<DownloadFailureView[]> {
  const { rows } = await pool.query<DownloadFailureView>(
    `select file.content_id as content, file.relative_path as path, failure.urls, failure.reason
       from download_failures failure join content_artifacts file on file.id = failure.content_artifact_id
      where failure.download_id = $1 order by file.content_id, file.relative_path limit $2`,
    [downloadId, limit],
  );
  return rows;
}

/** How far the refresh of a workflow is; nothing as long as it has not begun. */
export async function refreshProgress(pool: Pool, runId: string): Promise<ProgressView[]> {
  const row = await findRow(pool, 'alternate_refreshes', runId);
  if (!row) return [];
  const { id, state } = row;
  const { paths, read, artifacts } = await readRefresh(pool, id);
  const line = (code: string, message: string, done: number, total: number | null) => ({
    ...{ code: `refresh.${code}`, message, state, done, total, suffix: null },
  });
  return [line('paths', 'Reading Metadata', read, paths.length), line('artifacts', 'Finding Files', artifacts, null)];
}

/** An artifact that a repair could not mend. */
export interface RepairFailureView {
  readonly artifact: string;
  readonly sha256: string;
  readonly kind: 'lost' | 'rotten';
  readonly content: string | null;
  readonly path: string | null;
  readonly repositories: readonly string[];
  readonly urls: readonly string[];
  readonly reason: string;
}

/** What a repair could not mend, in the order of the artifacts. */
export async function listRepairFailures(pool: Pool, repairId: string, limit: number): Promise<RepairFailureView[]> {
  const { rows } = await pool.query<RepairFailureView>(
    `select failure.artifact_id as artifact, artifact.sha256, failure.kind, failure.content_id as content, failure.path,
            failure.repositories, failure.urls, failure.reason
       from repair_failures failure join artifacts artifact on artifact.id = failure.artifact_id
      where failure.repair_id = $1 order by failure.artifact_id limit $2`,
    [repairId, limit],
  );
  return rows;
}
