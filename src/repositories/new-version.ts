import type { PoolClient } from 'pg';

import type { VersionKey } from './count-contents';
import { retainVersions } from './retain-versions';

/** A version that was begun, and the newest complete one, which it goes out from. */
export type NewVersion = VersionKey & { readonly baseVersion: number };

/**
 * Begins a version of a repository that is locked. Its number is one that no complete version has ever had; that of a version
 * which never became complete is taken again.
 */
export async function beginVersion(client: PoolClient, repositoryId: string): Promise<NewVersion> {
  // Also higher than what is there: a worker that knows nothing of `next_version` may have completed it.
  const { rows } = await client.query<NewVersion>(
    `with taken as (
       select repository.id, greatest(repository.next_version, max(version.number) + 1) as number,
              coalesce(max(version.number) filter (where version.complete), 0) as base
         from repositories repository left join repository_versions version on version.repository_id = repository.id
        where repository.id = $1
        group by repository.id
     ), begun as (
       insert into repository_versions (repository_id, number) select id, number from taken returning id
     )
     select begun.id as "versionId", taken.id as "repositoryId", taken.number, taken.base as "baseVersion"
       from begun, taken`,
    [repositoryId],
  );
  if (!rows[0]) throw new Error('an insert that succeeded returns its row');
  return rows[0];
}

/**
 * Shows a version to readers, and deletes the oldest ones beyond what its repository, which is locked, retains.
 *
 * @param missing - contents that upstream declares and that it does not hold
 */
export async function markComplete(
  client: PoolClient,
  { repositoryId, versionId, number }: VersionKey,
  missing = 0,
): Promise<void> {
  await client.query(
    'update repository_versions set complete = true, completed_at = now(), missing = $2 where id = $1',
    [versionId, missing],
  );
  await client.query('update repositories set next_version = $2 where id = $1', [repositoryId, number + 1]);
  await retainVersions(client, repositoryId);
}
