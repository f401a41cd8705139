import type { PoolClient } from 'pg';

import { inTransaction } from '../models/database';
import type { Database } from '../models/database';
import { removeIncompleteVersion } from '../staging/discard-sync';
import { countContents } from './count-contents';
import { IncompleteVersion } from './errors';
import { lockVersion } from './lock-repository';
import { beginVersion, markComplete } from './new-version';

/** What a rollback has come to. */
export interface Rollback {
  /** The newest version now. */
  readonly version: number;
  /** Whether the rollback has made it; else the newest one had the content already. */
  readonly changed: boolean;
  readonly added: number;
  readonly removed: number;
}

/**
 * Makes a new complete version with the content of an old one; where the newest has that already, none.
 *
 * @throws {@link RepositoryNotFound}, {@link VersionNotFound}, and {@link IncompleteVersion} where a sync has begun a version.
 */
export async function rollbackVersion({ pool }: Database, repository: string, number: number): Promise<Rollback> {
  return inTransaction(pool, async (client) => {
    const { repositoryId, incomplete } = await lockVersion(client, repository, number);
    if (incomplete !== null) {
      throw new IncompleteVersion(
        repository,
        incomplete,
        `Repository "${repository}" cannot be rolled back while its version ${incomplete} is not complete.`,
      );
    }
    const version = await beginVersion(client, repositoryId);
    for (const statement of [removeOthers, addMissing]) {
      await client.query(statement, [repositoryId, number, version.number]);
    }
    const { added, removed } = await countContents(client, version);
    const changed = added + removed > 0;
    if (changed) await markComplete(client, version, await countMissing(client, repositoryId, number));
    else await removeIncompleteVersion(client, version.versionId);
    return { version: changed ? version.number : version.baseVersion, changed, added, removed };
  });
}

/** What the old version did without, the new one does without as well. */
async function countMissing(client: PoolClient, repositoryId: string, number: number): Promise<number> {
  const { rows } = await client.query<{ missing: number }>(
    'select missing from repository_versions where repository_id = $1 and number = $2',
    [repositoryId, number],
  );
  return rows[0]?.missing ?? 0;
}

/** What the old version does not hold leaves the repository with the new one; `not in`, whose subplan is hashed. */
const removeOthers = `
  update repository_contents set version_removed = $3
   where repository_id = $1 and version_removed is null
     and content_id not in (
       select content_id from repository_contents
        where repository_id = $1 and version_added <= $2 and (version_removed is null or version_removed > $2))`;

/** What the old version holds and was removed since; what was added again stops at the partial unique index. */
const addMissing = `
  insert into repository_contents (repository_id, content_id, version_added)
  select repository_id, content_id, $3::integer from repository_contents
   where repository_id = $1 and version_added <= $2 and version_removed > $2 and version_removed < $3
   order by content_id
  on conflict do nothing`;
