import type { PoolClient } from 'pg';

import { inLanes } from '../lanes';
import type { CheckedUnit } from '../plugins/declared-unit';
import type { ContentType } from '../plugins/content-type';
import type { Plugin } from '../plugins/plugin';
import { stagedKey, stagedValue } from '../staging/content-sql';
import { findLost, forgetLost } from '../staging/lost-artifacts';
import { openDiscoveries } from '../staging/open-discoveries';
import { stageBatch } from '../staging/stage-batch';
import { takeAttachedArtifacts, takeKnownContents } from '../staging/take-known-contents';
import { takeStoredArtifacts } from '../staging/take-stored-artifacts';
import { artifactKey } from '../storage/storage';
import type { Storage } from '../storage/storage';
import { keyColumns, plannedSync, plannedTable } from './planning-tables';

/** Files that are looked for at once. */
const lookedAtOnce = 32;

/** What batches are planned with. */
export interface BatchPlanner {
  readonly client: PoolClient;
  readonly plugin: Plugin;
  readonly storage: Storage;
  readonly allowWeakDigests: boolean;
}

/**
 * Takes a batch through what the stages of a sync would find out: which contents and files are known, what would be saved, and
 * which steps could go on from it.
 */
export async function planBatch(
  planner: BatchPlanner,
  discovery: number,
  units: readonly CheckedUnit[],
): Promise<void> {
  const { client, plugin, storage, allowWeakDigests } = planner;
  const number = await stageBatch(client, plannedSync, discovery, units);
  const batchId = await batchIdOf(client, number);
  const types = [...new Set(units.map(({ content }) => content.type))].sort().map((type) => plugin.content(type));

  for (const type of types) await takeKnownContents(client, batchId, type);
  const attached = await takeAttachedArtifacts(client, batchId, plannedSync);
  await forgetLost(client, batchId, await findLost(storage, attached));
  if (plugin.pipeline.includes('queryExistingArtifacts')) {
    const stored = await takeStoredArtifacts(client, batchId, allowWeakDigests);
    await forgetLost(client, batchId, await findLost(storage, stored));
  }
  await takeDownloaded(client, batchId, storage);

  for (const type of types) await saveContents(client, batchId, type);
  await client.query('update staged_units set known = true where batch_id = $1 and not known', [batchId]);
  await openDiscoveries(client, batchId, plannedSync);
}

async function batchIdOf(client: PoolClient, number: number): Promise<string> {
  const { rows } = await client.query<{ id: string }>(
    'select id from sync_batches where sync_id = $1 and number = $2',
    [plannedSync, number],
  );
  if (!rows[0]) throw new Error('a batch that was staged has its row');
  return rows[0].id;
}

/** What lies in the storage already, although no artifact says so: an interrupted sync has downloaded it. */
async function takeDownloaded(client: PoolClient, batchId: string, storage: Pick<Storage, 'sizeOf'>): Promise<void> {
  const { rows } = await client.query<{ unitId: string; path: string; sha256: string; size: number | null }>(
    `select staged.unit_id as "unitId", staged.relative_path as path,
            coalesce(staged.sha256, earlier.stored_sha256) as sha256,
            coalesce(staged.size, earlier.stored_size)::float8 as size
       from staged_artifacts staged
       left join earlier_downloads earlier on earlier.relative_path = staged.relative_path and earlier.urls = staged.urls
      where staged.batch_id = $1 and staged.artifact_id is null and not staged.deferred
        and coalesce(staged.sha256, earlier.stored_sha256) is not null`,
    [batchId],
  );
  const found: { unitId: string; path: string; sha256: string; size: number }[] = [];
  await inLanes(rows, lookedAtOnce, async (row) => {
    const stored = await storage.sizeOf(artifactKey(row.sha256));
    if (stored !== undefined && (row.size ?? stored) === stored) found.push({ ...row, size: stored });
  });
  if (found.length === 0) return;
  await client.query(
    `update staged_artifacts staged set stored_sha256 = found.sha256, stored_size = found.size
       from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) as found (unit_id, path, sha256, size)
      where staged.unit_id = found.unit_id and staged.relative_path = found.path`,
    [
      found.map(({ unitId }) => unitId),
      found.map(({ path }) => path),
      found.map(({ sha256 }) => sha256),
      found.map(({ size }) => size),
    ],
  );
}

/** As the stage does, but into the table of what would be saved, and of each content only its keys. */
async function saveContents(client: PoolClient, batchId: string, type: ContentType): Promise<void> {
  const names = keyColumns(type);
  const columns = type.columns.filter(({ name }) => names.includes(name));
  await client.query(
    `insert into ${plannedTable(type)} (content_id, ${columns.map(({ name }) => name).join(', ')})
     select distinct on (${stagedKey(type)}) unit.content_id, ${columns.map((column) => stagedValue(column)).join(', ')}
       from staged_units unit
      where unit.batch_id = $1 and unit.type = $2 and not unit.known
      order by ${stagedKey(type)}, unit.content_id`,
    [batchId, type.name],
  );
}
