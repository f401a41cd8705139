import type { Queryable } from '../models/database';
import type { Policy } from '../models/repository-models';
import { CannotSync, RepositoryNotFound } from '../models/sync-errors';

/** A repository and the remote that it is synced with. */
export interface Target {
  readonly repositoryId: string;
  readonly type: string;
  readonly remoteId: string;
  readonly url: string;
  readonly policy: Policy;
  /** Requests a second that the remote allows; `null`: no limit. */
  readonly rate: number | null;
  readonly latest: number;
}

/**
 * What a sync of a repository would be of.
 *
 * @throws {@link RepositoryNotFound}, and {@link CannotSync} where it has no remote or one of another type
 */
export async function findTarget(client: Queryable, repository: string): Promise<Target> {
  const { rows } = await client.query<Target & { remote: string | null; remoteType: string }>(
    `select repository.id as "repositoryId", repository.type, remote.id as "remoteId", remote.name as remote,
            remote.type as "remoteType", remote.url, remote.policy, remote.rate_limit as rate,
            coalesce((select max(number) from repository_versions where repository_id = repository.id and complete), 0) as latest
       from repositories repository left join remotes remote on remote.id = repository.remote_id
      where repository.name = $1`,
    [repository],
  );
  const target = rows[0];
  if (!target) throw new RepositoryNotFound(repository);
  if (target.remote === null) {
    throw new CannotSync(
      `Repository "${repository}" has no remote. Give it one: penstock repository update ${repository} --remote NAME`,
      { repository },
    );
  }
  if (target.remoteType !== target.type) {
    throw new CannotSync(
      `Repository "${repository}" is of type ${target.type}, its remote "${target.remote}" of type ${target.remoteType}.`,
      {
        repository,
        remote: target.remote,
        expected: target.type,
        found: target.remoteType,
      },
    );
  }
  return target;
}
