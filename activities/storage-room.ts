import type { Pool } from 'pg';

import { NotEnoughRoom, StorageFull, describeLack } from '../src/storage/storage-full';
import type { ActivityDependencies } from './dependencies';

/** Bytes that are left free for everything else on the disk: 2 % of it, and not more than 1 GiB. */
const margin = { share: 0.02, most: 1024 ** 3 };

type Place = Pick<ActivityDependencies, 'database' | 'storage'>;

/** Makes sure that the storage has room for all that a sync has staged and not downloaded. @throws as {@link requireRoom} */
export async function requireRoomForAll(place: Place, syncId: string): Promise<void> {
  await requireRoom(place, syncId, await bytesToDownload(place.database.pool, syncId));
}

/**
 * Makes sure that the storage has room for what a sync is about to download.
 *
 * @param bytes - as far as upstream declares sizes
 * @throws {@link NotEnoughRoom} before the sync's first download, and after that {@link StorageFull}: it pauses
 */
export async function requireRoom(place: Place, syncId: string, bytes: number): Promise<void> {
  const found = await roomFor(place, bytes);
  if (found === undefined) return;
  const { rows } = await place.database.pool.query(
    'select from sync_batches where sync_id = $1 and downloaded > 0 limit 1',
    [syncId],
  );
  const message = describeLack(bytes, found);
  const details = detailsOf(bytes, found);
  throw rows.length > 0 ? new StorageFull(message, details) : new NotEnoughRoom(message, details);
}

/** Makes sure, before anything is downloaded, that the storage has room for it. @throws {@link NotEnoughRoom} */
export async function requireRoomFirst(place: Pick<Place, 'storage'>, bytes: number): Promise<void> {
  const found = await roomFor(place, bytes);
  if (found !== undefined) throw new NotEnoughRoom(describeLack(bytes, found), detailsOf(bytes, found));
}

/** The bytes that there is room for, where those are too few. */
async function roomFor({ storage }: Pick<Place, 'storage'>, bytes: number): Promise<number | undefined> {
  const room = bytes > 0 ? await storage.room() : undefined;
  if (!room) return undefined;
  const available = Math.max(0, Math.floor(room.free - Math.min(room.total * margin.share, margin.most)));
  return bytes > available ? available : undefined;
}

function detailsOf(bytes: number, found: number) {
  return { expected: `${bytes} bytes`, found: `${found} bytes` };
}

/**
 * Bytes of all that the sync has staged and that no artifact holds, as far as sizes and sha256 are declared: files with
 * other digests are looked for batch by batch.
 */
async function bytesToDownload(pool: Pool, syncId: string): Promise<number> {
  const { rows } = await pool.query<{ bytes: number }>(
    `with wanted as materialized (
       select distinct staged.sha256, staged.size
         from sync_batches batch join staged_artifacts staged on staged.batch_id = batch.id
        where batch.sync_id = $1 and not batch.finished and not staged.deferred and staged.artifact_id is null and staged.stored_sha256 is null
          and staged.size is not null and staged.sha256 is not null
     )
     select coalesce(sum(wanted.size), 0)::float8 as bytes
       from wanted where not exists (select from artifacts where artifacts.sha256 = wanted.sha256)`,
    [syncId],
  );
  return rows[0]?.bytes ?? 0;
}
