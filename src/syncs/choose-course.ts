import type { Queryable } from '../models/database';
import { CannotSync } from '../models/sync-errors';
import type { SyncMode } from '../models/sync-models';
import type { Target } from './find-target';

/** How a sync begins: it goes on with an interrupted one, finds nothing to do, or begins anew and discards what was open. */
export type Course =
  | { readonly kind: 'resume'; readonly syncId: string }
  | { readonly kind: 'skip' }
  | { readonly kind: 'begin'; readonly discards: string | null };

/** What a sync is asked to do, as far as its beginning depends on it. */
export interface CourseRequest {
  readonly repository: string;
  readonly mode: SyncMode;
  readonly optimize: boolean;
  readonly onlyMissing?: boolean;
}

/**
 * Decides how a sync of a repository begins.
 *
 * @param metadataChanged - whether any metadata file that a sync has read is another one upstream now
 * @throws {@link CannotSync} where only what is missing is asked for, and nothing is open to go on with
 */
export async function chooseCourse(
  client: Queryable,
  target: Target,
  { repository, mode, optimize, onlyMissing = false }: CourseRequest,
  metadataChanged: (syncId: string) => Promise<boolean>,
): Promise<Course> {
  const open = await findOpenSync(client, target.repositoryId);
  if (onlyMissing && !(open && sameSource(open, target))) throw nothingToRetry(repository, open !== undefined);
  if (open) {
    const goesOn = sameSource(open, target) && (onlyMissing || !(await metadataChanged(open.id)));
    return goesOn ? { kind: 'resume', syncId: open.id } : { kind: 'begin', discards: open.id };
  }
  const last = optimize ? await findLastCompleted(client, target.repositoryId) : undefined;
  const skips =
    last?.mode === mode &&
    sameSource(last, target) &&
    last.pins > 0 &&
    last.missing === 0 &&
    last.resultVersion === target.latest &&
    !(await metadataChanged(last.id));
  return skips ? { kind: 'skip' } : { kind: 'begin', discards: null };
}

interface EarlierSync {
  readonly id: string;
  readonly remoteId: string | null;
  readonly url: string;
  readonly policy: string;
  readonly mode: SyncMode;
  readonly resultVersion: number | null;
  readonly pins: number;
  readonly missing: number;
}

const earlierSync = `
  select id, remote_id as "remoteId", url, policy, mode, missing, result_version as "resultVersion",
         (select count(*)::int from sync_metadata where sync_id = syncs.id) as pins
    from syncs`;

async function findOpenSync(client: Queryable, repositoryId: string): Promise<EarlierSync | undefined> {
  const { rows } = await client.query<EarlierSync>(
    `${earlierSync} where repository_id = $1 and state in ('running', 'failed', 'canceled')`,
    [repositoryId],
  );
  return rows[0];
}

async function findLastCompleted(client: Queryable, repositoryId: string): Promise<EarlierSync | undefined> {
  const { rows } = await client.query<EarlierSync>(
    `${earlierSync} where repository_id = $1 and state = 'completed' order by id desc limit 1`,
    [repositoryId],
  );
  return rows[0];
}

function nothingToRetry(repository: string, begun: boolean): CannotSync {
  const why = begun
    ? 'its remote has another url or policy now than the sync that is incomplete'
    : 'no sync of it is incomplete';
  return new CannotSync(
    `Nothing of repository "${repository}" can be tried again alone: ${why}. Sync it: penstock sync ${repository}`,
    { repository },
  );
}

function sameSource(earlier: EarlierSync, target: Target): boolean {
  return earlier.remoteId === target.remoteId && earlier.url === target.url && earlier.policy === target.policy;
}
