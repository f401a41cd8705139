import type { Pool, PoolClient } from 'pg';

import { inTransaction } from '../src/models/database';
import type { AllowedMissing } from '../src/models/sync-models';
import { countContents } from '../src/repositories/count-contents';
import { markComplete } from '../src/repositories/new-version';
import { removeIncompleteVersion, removeStaging } from '../src/staging/discard-sync';
import { metadataPrefix } from '../src/storage/storage';
import { currentFence } from './current-workflow';
import type { ActivityDependencies } from './dependencies';
import { reopenAfterReset } from './reopen-sync';
import { notCurrent } from './stage';
import { keepMissing, refuseFailures } from './sync-failures';
import {
  applyReferences,
  evictReplaced,
  refuseContradictions,
  removeUndeclared,
  validateVersion,
} from './version-rules';

/** What a sync has come to. */
export interface SyncOutcome {
  readonly syncId: string;
  /** The newest complete version of the repository now. */
  readonly version: number;
  /** Whether this sync made that version. */
  readonly changed: boolean;
  readonly added: number;
  readonly removed: number;
  readonly present: number;
  readonly downloaded: number;
  /** Bytes. */
  readonly downloadedBytes: number;
  /** Contents that could not be had, and were allowed to be missing. */
  readonly missing: number;
}

export interface CompleteVersionInput {
  readonly syncId: string;
  /** How much may be missing; absent: nothing. */
  readonly allowMissing?: AllowedMissing;
}

/**
 * Makes the version visible to readers, in one transaction: removals in mirror mode, evictions by repository key,
 * references, validation and counts. Where nothing was added or removed there is no new version.
 */
export const completeVersion =
  ({ database, plugins, storage }: ActivityDependencies) =>
  async ({ syncId, allowMissing }: CompleteVersionInput): Promise<SyncOutcome> => {
    const outcome = await inTransaction(database.pool, async (client) => {
      const sync = await lockSync(client, database.pool, syncId);
      if (sync.state === 'completed') return readOutcome(client, syncId);
      const missing = await refuseFailures(client, sync, allowMissing);
      await refuseContradictions(client, sync);

      const plugin = plugins.get(sync.plugin);
      if (sync.mode === 'mirror') await removeUndeclared(client, sync);
      await evictReplaced(client, sync, plugin);
      await applyReferences(client, sync, plugin);
      await validateVersion(client, sync, plugin);
      await closeVersion(client, sync, missing);
      return readOutcome(client, syncId);
    });
    // Over and visible: what follows only tidies up, and runs again after a crash.
    await inTransaction(database.pool, (client) => removeStaging(client, syncId));
    await storage.removeAll(metadataPrefix(syncId));
    return outcome;
  };

/** The sync that is being completed, with its version. */
export interface CompletingSync {
  readonly id: string;
  readonly repository: string;
  readonly repositoryId: string;
  readonly versionId: string;
  readonly number: number;
  readonly state: string;
  readonly mode: 'additive' | 'mirror';
  readonly plugin: string;
}

/** Locks the repository and then the sync, as everything does that changes versions. */
async function lockSync(client: PoolClient, pool: Pool, syncId: string): Promise<CompletingSync> {
  await client.query(
    'select 1 from repositories where id = (select repository_id from syncs where id = $1) for update',
    [syncId],
  );
  const { rows } = await client.query<CompletingSync & { current: boolean }>(
    `select sync.fence <= $2 as current, sync.id, repository.name as repository, repository.id as "repositoryId", version.id as "versionId",
            version.number, sync.state, sync.mode, repository.type as plugin
       from syncs sync
       join repositories repository on repository.id = sync.repository_id
       left join repository_versions version on version.id = sync.version_id
      where sync.id = $1 and sync.state in ('running', 'completed')
        for update of sync`,
    [syncId, currentFence()],
  );
  const [sync] = rows;
  if (!sync?.current) {
    const runs = sync !== undefined || (await reopenAfterReset(pool, syncId));
    throw notCurrent(`Sync ${syncId}, which is to be completed`, runs);
  }
  return sync;
}

async function closeVersion(client: PoolClient, sync: CompletingSync, missing: number): Promise<void> {
  const { added, removed } = await countContents(client, sync);
  const changed = added + removed > 0;
  await archiveProgress(client, sync.id, removed);
  await client.query(
    `update syncs set state = 'completed', finished_at = now(), error = null, paused = null, missing = $4,
            result_version = case when $2 then $3 else base_version end,
            downloaded = (select coalesce(sum(downloaded), 0) from sync_batches where sync_id = $1),
            downloaded_bytes = (select coalesce(sum(downloaded_bytes), 0) from sync_batches where sync_id = $1)
      where id = $1`,
    [sync.id, changed, sync.number, missing],
  );
  await keepMissing(client, sync);
  if (changed) await markComplete(client, sync, missing);
  else await removeIncompleteVersion(client, sync.versionId);
}

/** Writes the progress down as it stands, as the batches that it is read from will be gone. */
async function archiveProgress(client: PoolClient, syncId: string, removed: number): Promise<void> {
  await client.query(
    `insert into progress_reports (sync_id, code, message, state, done, total, suffix)
     select sync_id, code, message, 'completed', done, total, suffix from sync_progress where sync_id = $1
     union all
     select $1, 'unassociating.content', 'Un-Associating Content', 'completed', $2::bigint, $2::bigint, null where $2::bigint > 0`,
    [syncId, removed],
  );
}

async function readOutcome(client: PoolClient, syncId: string): Promise<SyncOutcome> {
  const { rows } = await client.query<SyncOutcome>(
    `select sync.id as "syncId", sync.result_version as version, sync.version_id is not null as changed,
            coalesce(sum(counts.added), 0)::int as added, coalesce(sum(counts.removed), 0)::int as removed,
            coalesce(sum(counts.present), 0)::int as present,
            sync.downloaded, sync.downloaded_bytes::float8 as "downloadedBytes", sync.missing
       from syncs sync
       left join repository_versions version on version.repository_id = sync.repository_id and version.number = sync.result_version
       left join repository_version_counts counts on counts.version_id = version.id
      where sync.id = $1
      group by sync.id`,
    [syncId],
  );
  const outcome = rows[0];
  if (!outcome) throw new Error(`There is no sync ${syncId}.`);
  // Where this sync made no version, the counts of the one before say nothing about it.
  return outcome.changed ? outcome : { ...outcome, added: 0, removed: 0 };
}
