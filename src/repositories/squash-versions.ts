import type { PoolClient } from 'pg';

import { countContents } from './count-contents';

/**
 * Deletes the complete versions of a locked repository from one number up to a later complete version, and counts what that
 * one has now added and removed. What every other version holds stays.
 *
 * @param first the lowest number to delete.
 * @param next the number of the first version above, which stays.
 */
export async function squashVersions(
  client: PoolClient,
  repositoryId: string,
  first: number,
  next: number,
): Promise<void> {
  for (const statement of [deleteHeldByNoOther, joinRemovedAndAddedAgain, removeLater, addLater]) {
    await client.query(statement, [repositoryId, first, next]);
  }
  await client.query('delete from repository_versions where repository_id = $1 and number >= $2 and number < $3', [
    repositoryId,
    first,
    next,
  ]);
  const { rows } = await client.query<{ id: string }>(
    'select id from repository_versions where repository_id = $1 and number = $2',
    [repositoryId, next],
  );
  if (rows[0]) await countContents(client, { repositoryId, versionId: rows[0].id, number: next });
}

/** Added and removed within the versions that go. */
const deleteHeldByNoOther = `
  delete from repository_contents where repository_id = $1 and version_added >= $2 and version_removed <= $3`;

/**
 * Removed by a version that goes, and there again in the next one: without what was between, it was there all the time. Every
 * later association is gone before an earlier one takes its end, so that no content is twice in the newest version. Hashed
 * subplans and a look-up by the primary key, as a join of rows this fresh may become a nested loop.
 */
const joinRemovedAndAddedAgain = `
  with removed as materialized (
    select content_id from repository_contents
     where repository_id = $1 and version_removed >= $2 and version_removed < $3
  ), again as (
    delete from repository_contents
     where repository_id = $1 and version_added >= $2 and version_added <= $3
       and (content_id in (select content_id from removed)) is true
    returning content_id
  )
  update repository_contents earlier
     set version_removed = (
           select later.version_removed from repository_contents later
            where later.repository_id = $1 and later.content_id = earlier.content_id
              and later.version_added >= $2 and later.version_added <= $3)
   where earlier.repository_id = $1 and earlier.version_removed >= $2 and earlier.version_removed < $3
     and (earlier.content_id in (select content_id from again)) is true`;

/** Removed by a version that goes: it is the next one that does not hold it now. */
const removeLater = `
  update repository_contents set version_removed = $3
   where repository_id = $1 and version_removed >= $2 and version_removed < $3`;

/** Added by a version that goes: it is the next one that brings it now. */
const addLater = `
  update repository_contents set version_added = $3
   where repository_id = $1 and version_added >= $2 and version_added < $3`;
