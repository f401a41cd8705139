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
 * Deletes the oldest complete versions of a locked repository beyond those that it keeps; those stay as they are, and so do
 * versions that a distribution points to.
 *
 * @returns how many versions were deleted.
 */
export async function retainVersions(client: PoolClient, repositoryId: string): Promise<number> {
  // Each run of versions that go is squashed into the kept one above it; the newest is always kept.
  const { rows } = await client.query<{ first: number; next: number; versions: number }>(
    `with version as (
       select version.number,
              exists (select from distributions where version_id = version.id)
                or row_number() over (order by version.number desc) <= coalesce(repository.retain_repo_versions, 2147483647) as kept
         from repositories repository
         join repository_versions version on version.repository_id = repository.id and version.complete
        where repository.id = $1
     )
     select min(number) as first, next, count(*)::int as versions
       from (select number, kept, min(number) filter (where kept) over (order by number desc) as next from version) run
      where not kept
      group by next
      order by next`,
    [repositoryId],
  );
  for (const { first, next } of rows) await squashVersions(client, repositoryId, first, next);
  return rows.reduce((deleted, { versions }) => deleted + versions, 0);
}
