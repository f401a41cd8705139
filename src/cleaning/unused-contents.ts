import type { Pool, PoolClient } from 'pg';

import { excludeUse } from '../models/use-lock';
import { runningFor } from '../staging/refused-by-database';
import { noteCursor, noteFreed, syncIsOver } from './cleaning';
import type { CleaningStep } from './cleaning';

/** Contents that are removed in one transaction. Syncs wait meanwhile: some tens of milliseconds. */
const pageSize = 1000;

/** Removes contents that no version holds, no sync has staged, and nothing that stays refers to; with their rows and files' places. */
export const removeUnusedContents: CleaningStep = async (cleaning, cursor) => {
  const { pool, attempt, before, dryRun } = cleaning;
  const { rows } = await pool.query<{ id: string }>(heldByNoVersion, [before, cursor]);
  const last = rows.at(-1)?.id;
  if (last === undefined) return undefined;
  const page = rows.map(({ id }) => id);
  const found = await findUnused(pool, before, page);
  if (dryRun || found.length === 0) {
    await attempt.transaction(async (client) => {
      await noteFreed(client, cleaning, { contents: found.length });
      await noteCursor(client, cleaning, last);
    });
    return last;
  }
  await attempt.transaction(async (client) => {
    const unused = await findUnused(client, before, found);
    // Whoever refers to them is unused as well, and gets its references again when a sync takes it into a version.
    await client.query('delete from content_references where referenced_id = any($1::bigint[])', [unused]);
    await runningFor('Removing contents that nobody uses', () =>
      client.query('delete from contents where id = any($1::bigint[])', [unused]),
    );
    await noteFreed(client, cleaning, { contents: unused.length });
    await noteCursor(client, cleaning, last);
  }, excludeUse);
  return last;
};

const heldByNoVersion = `
  select content.id from contents content
   where content.id > $2 and content.created_at < $1
     and not exists (select from repository_contents held where held.content_id = content.id)
   order by content.id limit ${pageSize}`;

/** Of these contents, those that nobody uses. */
export async function findUnused(
  client: Pick<Pool | PoolClient, 'query'>,
  before: Date,
  ids: readonly string[],
): Promise<string[]> {
  const { rows } = await client.query<{ id: string; referrers: string[] }>(notHeld, [before, ids]);
  if (rows.length === 0) return [];
  const inUse = await findStaged(client, before, [...new Set(rows.flatMap(({ referrers }) => referrers))]);
  return rows.filter(({ referrers }) => !referrers.some((each) => inUse.has(each))).map(({ id }) => id);
}

/**
 * The set: contents, each with all that refer to it, directly or not, where none of these is young or held by a version. The
 * limits keep the planner at look-ups in indices, whatever it thinks of the recursion.
 */
const notHeld = `
  with recursive referrer (asked, id) as (
    select id, id from unnest($2::bigint[]) id
     union
    select referrer.asked, reference.content_id
      from referrer join content_references reference on reference.referenced_id = referrer.id
  )
  select referrer.asked as id, array_agg(referrer.id) as referrers
    from referrer
   cross join lateral (select created_at < $1 as old from contents content where content.id = referrer.id limit 1) content
    left join lateral (
      select true as yes from repository_contents content where content.content_id = referrer.id limit 1) held on true
   group by referrer.asked
  having bool_and(content.old) and bool_and(held.yes is null)
   order by referrer.asked`;

/** Of these contents, those that a sync has staged which is under way, or may go on. */
export async function findStaged(
  client: Pick<Pool | PoolClient, 'query'>,
  before: Date,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ id: string }>(stagedAmong, [before, ids]);
  return new Set(rows.map(({ id }) => id));
}

/** A scan of what is staged, once for a page: an index for this alone would cost every sync. */
const stagedAmong = `
  select distinct unit.content_id as id
    from staged_units unit
    join sync_batches batch on batch.id = unit.batch_id
    join syncs sync on sync.id = batch.sync_id
   where unit.content_id = any($2::bigint[]) and not ${syncIsOver}`;
