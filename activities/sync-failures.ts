import type { PoolClient } from 'pg';

import { SyncIncomplete } from '../src/models/sync-errors';
import type { AllowedMissing } from '../src/models/sync-models';
import type { CompletingSync } from './complete-version';
import { PipelineIncomplete } from './stage';

/** How many failures the error names; all of them stay in the staging tables. */
const named = 10;
/** Characters that all of them may take: an activity's error is cut off at 3,000. */
const longest = 2700;
/** Characters at the end of a failure that say why: two digests, and the attempts. */
const reason = 190;

interface Failure {
  readonly path: string | null;
  readonly content: string;
  readonly error: { readonly message: string; readonly url?: string; readonly transient?: boolean };
}

interface FailureCounts {
  /** Files that could not be had, and contents that were refused. */
  readonly failures: number;
  /** Contents that are not whole for it. */
  readonly missing: number;
  readonly declared: number;
  readonly transient: boolean;
  readonly open: number;
  readonly undiscovered: number;
  /** Missing contents that lead to more. */
  readonly unexplored: number;
}

/**
 * Nothing incomplete is published, unless that is allowed: what failed is named, and the next sync of the repository tries
 * just that.
 *
 * @returns how many contents are missing, and are allowed to be
 * @throws {@link SyncIncomplete}
 */
export async function refuseFailures(
  client: PoolClient,
  sync: CompletingSync,
  allowed: AllowedMissing = { contents: 0 },
): Promise<number> {
  const { rows } = await client.query<FailureCounts>(
    `select count(*)::int as failures, count(distinct unit_id)::int as missing,
            coalesce(bool_and(coalesce((error->>'transient')::boolean, false)), false) as transient,
            (select coalesce(sum(units), 0) from sync_batches where sync_id = $1)::int as declared,
            (select count(*) from sync_batches where sync_id = $1 and not finished and failed = 0)::int as open,
            (select count(*) from sync_discoveries where sync_id = $1 and not finished)::int as undiscovered,
            (select count(*) from sync_batches batch join staged_units unit on unit.batch_id = batch.id
              where batch.sync_id = $1 and batch.failed > 0 and unit.step is not null and unit.discovery is null
                and unit.outcome is distinct from 'dropped')::int as unexplored
       from sync_failures where sync_id = $1`,
    [sync.id],
  );
  const counts = rows[0];
  if (!counts) throw new Error('an aggregate without groups has one row');
  const most = 'contents' in allowed ? allowed.contents : (counts.declared * allowed.percent) / 100;
  // Who cannot tell what upstream has would take it all for removed.
  if (counts.missing > most || (sync.mode === 'mirror' && counts.unexplored > 0)) {
    const { rows: failures } = await client.query<Failure>(
      `select path, content, error from sync_failures where sync_id = $1 order by batch, unit_id, path limit ${named}`,
      [sync.id],
    );
    throw new SyncIncomplete(
      messageOf(sync, failures, counts, most),
      { repository: sync.repository, failures: counts.failures },
      counts.transient,
    );
  }
  if (counts.open + counts.undiscovered > 0) {
    throw new PipelineIncomplete(
      `Repository "${sync.repository}": ${counts.open} batches and ${counts.undiscovered} discoveries of sync ${sync.id} are not over, so it cannot be completed. Sync again.`,
      { repository: sync.repository },
    );
  }
  return counts.missing;
}

/** Keeps what is missing, as the staging tables that it stands in go; of one version, only what its last sync has missed. */
export async function keepMissing(client: PoolClient, sync: CompletingSync): Promise<void> {
  await client.query(
    `insert into missing_contents (sync_id, number, content, path, error)
     select sync_id, row_number() over (order by batch, unit_id, path), content, path, error
       from sync_failures where sync_id = $1`,
    [sync.id],
  );
  await client.query(
    `delete from missing_contents missing
      using syncs earlier, syncs this
      where this.id = $1 and earlier.repository_id = this.repository_id and earlier.id < this.id and missing.sync_id = earlier.id
        and (earlier.result_version = this.result_version
             or not exists (select from repository_versions version
                             where version.repository_id = earlier.repository_id and version.number = earlier.result_version))`,
    [sync.id],
  );
}

function messageOf(
  { repository, number, id, mode }: CompletingSync,
  failures: readonly Failure[],
  { failures: total, missing, declared, unexplored }: FailureCounts,
  allowed: number,
): string {
  const list = failures.map(({ path, content, error }) =>
    shortened(`${path ?? content}: ${error.message}`, longest / failures.length),
  );
  if (total > failures.length) list.push(`and ${total - failures.length} more: "penstock sync failures ${id}"`);
  return [
    `Repository "${repository}": ${total} could not be had, so version ${number} is not complete. Everything else is saved.`,
    ...(allowed > 0 ? [`${missing} of ${declared} contents are missing; ${Math.floor(allowed)} may be.`] : []),
    ...(allowed > 0 && mode === 'mirror' && unexplored > 0
      ? [`Never those that lead to more, which a mirror would take for removed: ${unexplored} do.`]
      : []),
    ...list,
    'Sync the repository again to try just these, or allow them to be missing (--allow-missing).',
  ].join('\n');
}

/** The beginning says which one failed, the end why; a long path and url make way. */
function shortened(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - reason - 1)}…${text.slice(-reason)}` : text;
}
