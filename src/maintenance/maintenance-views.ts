import type { Database } from '../models/database';
import { readCleaning } from '../cleaning/cleaning';
import { readRepair } from '../repairing/repair';
import type { ProgressView } from '../syncs/sync-views';

type Pool = Database['pool'];

/** How far the repair of a workflow is; nothing as long as it has not begun. */
export async function repairProgress(pool: Pool, runId: string): Promise<ProgressView[]> {
  const { rows } = await pool.query<{ id: string; state: string }>('select id, state from repairs where run_id = $1', [
    runId,
  ]);
  if (!rows[0]) return [];
  const { checked, total, checkedBytes, mended, failed } = await readRepair(pool, rows[0].id);
  const suffix = `${checkedBytes} bytes, ${mended} mended, ${failed} not`;
  return [
    { code: 'repair.artifacts', message: 'Checking Artifacts', state: rows[0].state, done: checked, total, suffix },
  ];
}

/** How much the cleaning of a workflow has freed; nothing as long as it has not begun. */
export async function cleaningProgress(pool: Pool, runId: string): Promise<ProgressView[]> {
  const { rows } = await pool.query<{ id: string; state: string }>(
    'select id, state from cleanings where run_id = $1',
    [runId],
  );
  if (!rows[0]) return [];
  const [{ id, state }] = [rows[0]];
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
