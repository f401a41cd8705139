import { noteCursor, syncIsOver } from './cleaning';
import type { CleaningStep } from './cleaning';

/** Batches whose staging goes in one transaction; each has up to some thousand rows. */
const batchesAtOnce = 50;

/** Removes what is left staged of syncs that are over. An interrupted sync goes on with its own. */
export const removeFinishedStaging: CleaningStep = async (cleaning, cursor) => {
  const { attempt, before, dryRun } = cleaning;
  if (dryRun) return undefined;
  const next = (Number(cursor) + 1).toString();
  const removed = await attempt.transaction(async (client) => {
    const { rowCount } = await client.query(
      `delete from sync_batches where id in (
         select batch.id from sync_batches batch join syncs sync on sync.id = batch.sync_id
          where ${syncIsOver} order by batch.id limit ${batchesAtOnce})`,
      [before],
    );
    await noteCursor(client, cleaning, next);
    if (rowCount !== 0) return true;
    await client.query(
      `delete from sync_discoveries where sync_id in (select sync.id from syncs sync where ${syncIsOver})`,
      [before],
    );
    return false;
  });
  return removed ? next : undefined;
};
