import type { PoolClient } from 'pg';

import { inTransaction } from '../models/database';
import type { Database } from '../models/database';
import { removeIncompleteVersion } from '../staging/discard-sync';
import { IncompleteVersion, LastVersion } from './errors';
import { lockVersion } from './lock-repository';
import type { LockedVersion } from './lock-repository';
import { squashVersions } from './squash-versions';

/**
 * Deletes a complete version. What the other versions hold stays exactly as it is, and so do contents and artifacts. A sync
 * may run meanwhile.
 *
 * @throws {@link RepositoryNotFound}, {@link VersionNotFound}, {@link LastVersion}, and {@link IncompleteVersion} where a
 * sync has begun a version that goes out from this one.
 */
export async function deleteVersion({ pool }: Database, repository: string, number: number): Promise<void> {
  await inTransaction(pool, async (client) => {
    const version = await lockVersion(client, repository, number);
    if (!version.others) throw new LastVersion(repository, number);
    if (version.next !== null) {
      await squashVersions(client, version.repositoryId, number, version.next);
      return;
    }
    if (version.incomplete !== null) {
      throw new IncompleteVersion(
        repository,
        version.incomplete,
        `Version ${number} of repository "${repository}" cannot be deleted, as version ${version.incomplete}, which is not complete, goes out from it.`,
      );
    }
    await deleteNewest(client, version);
  });
}

/** The newest version goes as one that was never completed; only its number is never taken again. */
async function deleteNewest(client: PoolClient, { repositoryId, versionId, number }: LockedVersion): Promise<void> {
  // A worker that knows nothing of `next_version` may have completed it.
  await client.query('update repositories set next_version = greatest(next_version, $2) where id = $1', [
    repositoryId,
    number + 1,
  ]);
  await client.query('update repository_versions set complete = false, completed_at = null where id = $1', [versionId]);
  await removeIncompleteVersion(client, versionId);
}
