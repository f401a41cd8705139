import type { Transaction } from 'sequelize';

import { RepositoryNotFound } from '../models/sync-errors';
import { Remote, Repository } from '../models/repository-models';
import { InvalidValue, RemoteNotFound } from '../repositories/errors';
import type { RemoteChanges } from '../repositories/remote-fields';
import { createRemote, updateRemote } from '../repositories/remotes';
import type { FieldChange, RemoteStore } from '../repositories/remotes';
import { createRepository, updateRepository } from '../repositories/repositories';

/** What a sync wants to find. */
export interface SyncSetUp {
  readonly repository: string;
  /** The plugin; absent: what the repository is of. */
  readonly type?: string | undefined;
  /** The type of what is created, where none is given. */
  readonly standardType: string;
  readonly remote: RemoteChanges;
}

/** What was not as the sync wants it. */
export interface SetUpChanges {
  readonly createdRepository: boolean;
  readonly createdRemote: string | null;
  readonly updatedRemote: { readonly name: string; readonly changes: readonly FieldChange[] } | null;
}

/**
 * Creates the repository and a remote of the same name where they do not exist, and brings the remote of one that exists
 * to what is given.
 *
 * @throws {@link RepositoryNotFound} where there is none and no url to create it with, {@link InvalidValue}
 */
export async function prepareSync(store: RemoteStore, setUp: SyncSetUp): Promise<SetUpChanges> {
  const { repository: name, remote: given } = setUp;
  const found = await Repository.findOne({ where: { name }, include: [{ model: Remote, as: 'remote' }] });
  if (found && setUp.type !== undefined && found.type !== setUp.type) {
    throw new InvalidValue('type', `repository "${name}" is of type ${found.type}, not ${setUp.type}.`, {
      expected: found.type,
      found: setUp.type,
    });
  }
  if (found?.remote) return { ...nothing, updatedRemote: await bringTo(store, found.remote.name, given) };

  const type = found?.type ?? setUp.type ?? setUp.standardType;
  const remote = await Remote.findOne({ where: { name } });
  if (!remote && given.url === undefined) throw found ? new RemoteNotFound(name) : missing(name);
  const create = async (transaction: Transaction) => {
    if (!remote) await createRemote(store, { ...given, name, type, url: given.url ?? '' }, transaction);
    if (!found) await createRepository(store, { name, type, remote: name }, transaction);
  };
  // Both or none: a mistake in an option leaves nothing behind.
  await store.database.sequelize.transaction(create);
  if (found) await updateRepository(store.database, name, { remote: name });
  return {
    createdRepository: !found,
    createdRemote: remote ? null : name,
    updatedRemote: remote ? await bringTo(store, name, given) : null,
  };
}

const nothing: SetUpChanges = { createdRepository: false, createdRemote: null, updatedRemote: null };

async function bringTo(store: RemoteStore, name: string, given: RemoteChanges): Promise<SetUpChanges['updatedRemote']> {
  const changes = await updateRemote(store, name, given);
  return changes.length > 0 ? { name, changes } : null;
}

function missing(repository: string): RepositoryNotFound {
  const error = new RepositoryNotFound(repository);
  error.message = `There is no repository "${repository}". To create it, say where to sync it from: --url URL.`;
  return error;
}
