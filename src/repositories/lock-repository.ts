import type { PoolClient } from 'pg';

import { RepositoryNotFound } from '../models/sync-errors';
import { VersionNotFound } from './errors';

/**
 * Locks the row of a repository to the end of the transaction, so that its versions are begun, completed and deleted one
 * after the other. It is the first lock of every such transaction: they wait for each other, but never in a circle.
 *
 * @returns the id.
 * @throws {@link RepositoryNotFound}
 */
export async function lockRepository(client: PoolClient, name: string): Promise<string> {
  const { rows } = await client.query<{ id: string }>('select id from repositories where name = $1 for update', [name]);
  if (!rows[0]) throw new RepositoryNotFound(name);
  return rows[0].id;
}

/** A complete version and what is around it, in a repository that is locked. */
export interface LockedVersion {
  readonly repositoryId: string;
  readonly versionId: string;
  readonly number: number;
  /** The next complete version; null where this one is the newest. */
  readonly next: number | null;
  /** Whether the repository has other complete versions. */
  readonly others: boolean;
  /** The version that a sync has begun and not completed. */
  readonly incomplete: number | null;
}

/**
 * Locks a repository, and finds a complete version of it.
 *
 * @throws {@link RepositoryNotFound}, {@link VersionNotFound}
 */
export async function lockVersion(client: PoolClient, repository: string, number: number): Promise<LockedVersion> {
  const repositoryId = await lockRepository(client, repository);
  const { rows } = await client.query<LockedVersion & { complete: boolean }>(
    `select version.repository_id as "repositoryId", version.id as "versionId", version.number, version.complete,
            min(other.number) filter (where other.complete and other.number > version.number) as next,
            count(*) filter (where other.complete) > 0 as others,
            max(other.number) filter (where not other.complete) as incomplete
       from repository_versions version
       left join repository_versions other on other.repository_id = version.repository_id and other.id <> version.id
      where version.repository_id = $1 and version.number = $2
      group by version.id`,
    [repositoryId, number],
  );
  const [version] = rows;
  if (!version) throw new VersionNotFound(repository, number);
  if (!version.complete) throw new VersionNotFound(repository, number, ': a sync has begun it, and is not over');
  return version;
}
