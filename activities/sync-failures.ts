import type { PoolClient } from 'pg';

import { SyncIncomplete } from '../src/models/sync-errors';
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

/**
 * Nothing incomplete is published: what failed is named, and the next sync of the repository tries just that.
 *
 * @throws {@link SyncIncomplete}
 */
export async function refuseFailures(client: PoolClient, sync: CompletingSync): Promise<void> {
  const { rows } = await client.query<{ failures: number; transient: boolean; open: number; undiscovered: number }>(
    `select (select count(*) from sync_failures where sync_id = $1)::int as failures,
            (select coalesce(bool_and(coalesce((error->>'transient')::boolean, false)), false) from sync_failures where sync_id = $1) as transient,
            (select count(*) from sync_batches where sync_id = $1 and not finished)::int as open,
            (select count(*) from sync_discoveries where sync_id = $1 and not finished)::int as undiscovered`,
    [sync.id],
  );
  const counts = rows[0];
  if (!counts) throw new Error('an aggregate without groups has one row');
  if (counts.failures > 0) {
    const { rows: failures } = await client.query<Failure>(
      `select path, content, error from sync_failures where sync_id = $1 order by batch, unit_id, path limit ${named}`,
      [sync.id],
    );
    throw new SyncIncomplete(
      messageOf(sync, failures, counts.failures),
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
}

function messageOf({ repository, number, id }: CompletingSync, failures: readonly Failure[], total: number): string {
  const list = failures.map(({ path, content, error }) =>
    shortened(`${path ?? content}: ${error.message}`, longest / failures.length),
  );
  if (total > failures.length) list.push(`and ${total - failures.length} more: "penstock sync show ${id}"`);
  return [
    `Repository "${repository}": ${total} could not be had, so version ${number} is not complete. Everything else is saved.`,
    ...list,
    'Sync the repository again to try just these.',
  ].join('\n');
}

/** The beginning says which one failed, the end why; a long path and url make way. */
function shortened(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - reason - 1)}…${text.slice(-reason)}` : text;
}
