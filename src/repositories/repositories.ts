import { Op, UniqueConstraintError, col, fn } from 'sequelize';
import type { Transaction } from 'sequelize';

import type { Database } from '../models/database';
import { Distribution } from '../models/distribution-models';
import { Remote, Repository, RepositoryVersion } from '../models/repository-models';
import { CannotSync, RepositoryNotFound } from '../models/sync-errors';
import type { PluginRegistry } from '../plugins';
import { AlreadyExists, InUse } from './errors';
import { checkName } from './names';
import { findRemote } from './remotes';

/** A repository as it is shown. */
export interface RepositoryView {
  readonly name: string;
  readonly type: string;
  readonly remote: string | null;
  /** The newest complete version. */
  readonly latestVersion: number | null;
  /** The number of the version that a sync has begun and not completed. */
  readonly incompleteVersion: number | null;
  /** So many of the newest complete versions are kept; null: all. */
  readonly retainRepoVersions: number | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** @throws {@link RepositoryNotFound} */
export async function findRepository(name: string, transaction?: Transaction): Promise<Repository> {
  const repository = await Repository.findOne({
    where: { name },
    include: [{ model: Remote, as: 'remote' }],
    ...(transaction ? { transaction, lock: { level: transaction.LOCK.UPDATE, of: Repository } } : {}),
  });
  if (!repository) throw new RepositoryNotFound(name);
  return repository;
}

/** All repositories, in the order of their names. */
export async function listRepositories(): Promise<RepositoryView[]> {
  const repositories = await Repository.findAll({ include: [{ model: Remote, as: 'remote' }], order: ['name'] });
  const newest = await newestVersions(repositories.map(({ id }) => id));
  return repositories.map((repository) => view(repository, newest.get(repository.id)));
}

/** @throws {@link RepositoryNotFound} */
export async function viewRepository(name: string): Promise<RepositoryView> {
  const repository = await findRepository(name);
  return view(repository, (await newestVersions([repository.id])).get(repository.id));
}

/**
 * Creates a repository with its version 0, which is empty and complete.
 *
 * @throws {@link InvalidValue}, {@link AlreadyExists}, {@link RemoteNotFound}, {@link CannotSync}
 */
export async function createRepository(
  { database, plugins }: { readonly database: Database; readonly plugins: PluginRegistry },
  {
    name,
    type,
    remote,
    retainRepoVersions = null,
  }: {
    readonly name: string;
    readonly type: string;
    readonly remote?: string | undefined;
    readonly retainRepoVersions?: number | null;
  },
  outer?: Transaction,
): Promise<void> {
  checkName('repository', name);
  plugins.get(type);
  const work = async (transaction: Transaction) => {
    const remoteId = remote === undefined ? null : await remoteFor({ name, type }, remote, transaction);
    const repository = await Repository.create({ name, type, remoteId, retainRepoVersions }, { transaction });
    await RepositoryVersion.create(
      { repositoryId: repository.id, number: 0, complete: true, completedAt: new Date() },
      { transaction },
    );
  };
  try {
    await (outer ? work(outer) : database.sequelize.transaction(work));
  } catch (error) {
    if (error instanceof UniqueConstraintError) throw new AlreadyExists('repository', name);
    throw error;
  }
}

/** Gives a repository another remote, or none. @throws {@link RepositoryNotFound}, {@link RemoteNotFound}, {@link CannotSync} */
export async function updateRepository(
  { sequelize }: Database,
  name: string,
  { remote }: { readonly remote: string | null },
): Promise<void> {
  await sequelize.transaction(async (transaction) => {
    const repository = await findRepository(name, transaction);
    const remoteId = remote === null ? null : await remoteFor(repository, remote, transaction);
    await repository.update({ remoteId }, { transaction });
  });
}

/**
 * Deletes a repository with its versions and syncs; contents and artifacts stay. The caller has made sure that no workflow
 * syncs it.
 *
 * @returns the names of the distributions that served it, and serve nothing now.
 * @throws {@link RepositoryNotFound}
 */
export async function deleteRepository({ sequelize }: Database, name: string): Promise<string[]> {
  return sequelize.transaction(async (transaction) => {
    const repository = await findRepository(name, transaction);
    const versions = await RepositoryVersion.findAll({
      attributes: ['id'],
      where: { repositoryId: repository.id },
      transaction,
    });
    const served = await Distribution.findAll({
      where: { [Op.or]: { repositoryId: repository.id, versionId: versions.map(({ id }) => id) } },
      order: ['name'],
      transaction,
    });
    await repository.destroy({ transaction });
    return served.map((distribution) => distribution.name);
  });
}

/** Refuses what must not be done to a repository while it syncs. */
export function refuseWhileSyncing(repository: string, what: string): InUse {
  return new InUse(
    `Repository "${repository}" is being synced and cannot be ${what}. Wait for the end of the sync, or cancel it: penstock sync cancel ${repository}`,
    { repository },
  );
}

async function remoteFor(
  repository: { readonly name: string; readonly type: string },
  remote: string,
  transaction: Transaction,
): Promise<string> {
  const found = await findRemote(remote, transaction);
  if (found.type === repository.type) return found.id;
  throw new CannotSync(
    `Repository "${repository.name}" is of type ${repository.type}, the remote "${remote}" of type ${found.type}.`,
    { repository: repository.name, remote, expected: repository.type, found: found.type },
  );
}

interface NewestVersions {
  complete: number | null;
  incomplete: number | null;
}

async function newestVersions(repositoryIds: readonly string[]): Promise<Map<string, NewestVersions>> {
  const newest = new Map<string, NewestVersions>();
  if (repositoryIds.length === 0) return newest;
  const rows = await RepositoryVersion.findAll({
    attributes: ['repositoryId', 'complete', [fn('max', col('number')), 'number']],
    where: { repositoryId: repositoryIds },
    group: ['repositoryId', 'complete'],
  });
  for (const { repositoryId, complete, number } of rows) {
    const entry = newest.get(repositoryId) ?? { complete: null, incomplete: null };
    entry[complete ? 'complete' : 'incomplete'] = number;
    newest.set(repositoryId, entry);
  }
  return newest;
}

function view(repository: Repository, newest: NewestVersions | undefined): RepositoryView {
  return {
    name: repository.name,
    type: repository.type,
    remote: repository.remote?.name ?? null,
    latestVersion: newest?.complete ?? null,
    incompleteVersion: newest?.incomplete ?? null,
    retainRepoVersions: repository.retainRepoVersions,
    createdAt: repository.createdAt,
    updatedAt: repository.updatedAt,
  };
}
