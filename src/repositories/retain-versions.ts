import type { PoolClient } from 'pg';

import { inTransaction } from '../models/database';
import type { Database } from '../models/database';
import { lockRepository } from './lock-repository';
import { squashVersions } from './squash-versions';

/**
 * Sets how many of its newest complete versions a repository keeps, and deletes the others at once.
 *
 * @param versions at least 1; null: all are kept.
 * @returns how many versions were deleted.
 * @throws {@link RepositoryNotFound}
 */
export async function setRetention({ pool }: Database, repository: string, versions: number | null): Promise<number> {
  return inTransaction(pool, async (client) => {
    const id = await lockRepository(client, repository);
    await client.query('update repositories set retain_repo_versions = $2, updated_at = now() where id = $1', [
      id,
      versions,
    ]);
    return retainVersions(client, id);
  });
}

/**
 * Deletes the oldest complete versions of a locked repository beyond those that it keeps; those stay as they are.
 *
 * @returns how many versions were deleted.
 */
export async function retainVersions(client: PoolClient, repositoryId: string): Promise<number> {
  // A limit of null is none: then the oldest version is kept, and nothing is below it.
  const { rows } = await client.query<{ oldest: number; below: number }>(
    `select kept.oldest, count(*)::int as below
       from (select min(number) as oldest
               from (select number from repository_versions where repository_id = $1 and complete
                      order by number desc
                      limit (select retain_repo_versions from repositories where id = $1)) newest) kept
       join repository_versions version on version.repository_id = $1 and version.number < kept.oldest
      group by kept.oldest`,
    [repositoryId],
  );
  const [found] = rows;
  if (!found) return 0;
  await squashVersions(client, repositoryId, 0, found.oldest);
  return found.below;
}
