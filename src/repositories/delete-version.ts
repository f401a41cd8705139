import type { PoolClient } from 'pg';

import { inTransaction } from '../models/database';
import type { Database } from '../models/database';
import { removeIncompleteVersion } from '../staging/discard-sync';
import { quoted } from '../syncs/errors';
import { IncompleteVersion, InUse, LastVersion } from './errors';
import { lockVersion } from './lock-repository';
import type { LockedVersion } from './lock-repository';
import { squashVersions } from './squash-versions';

/**
 * Deletes a complete version. What the other versions hold stays exactly as it is, and so do contents and artifacts. A sync
 * may run meanwhile.
 *
 * @throws {@link RepositoryNotFound}, {@link VersionNotFound}, {@link LastVersion}, {@link InUse} where a distribution points
 * to it, and {@link IncompleteVersion} where a sync has begun a version that goes out from this one.
 */
export async function deleteVersion({ pool }: Database, repository: string, number: number): Promise<void> {
  await inTransaction(pool, async (client) => {
    const version = await lockVersion(client, repository, number);
    if (!version.others) throw new LastVersion(repository, number);
    await refuseWhileDistributed(client, repository, version);
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

/** Who follows the newest version gets the one before; who points to this one would get nothing. */
async function refuseWhileDistributed(
  client: PoolClient,
  repository: string,
  { versionId, number }: LockedVersion,
): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    'select name from distributions where version_id = $1 order by name limit 5',
    [versionId],
  );
  const [first] = rows;
  if (!first) return;
  throw new InUse(
    `Version ${number} of repository "${repository}" is what readers get from ${rows.map(({ name }) => `"${name}"`).join(', ')}. Let that serve something else first: penstock distribution update ${quoted(first.name)} --version N (or --repository NAME: its newest one)`,
    { repository, found: String(number), distribution: first.name },
  );
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
