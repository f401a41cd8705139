import { QueryTypes, UniqueConstraintError } from 'sequelize';
import type { Transaction } from 'sequelize';

import { InvalidSetting } from '../errors';
import type { Database } from '../models/database';
import type { RemoteSecrets, SecretBox } from '../models/remote-secrets';
import { Remote, Repository } from '../models/repository-models';
import { Sync } from '../models/sync-models';
import type { PluginRegistry } from '../plugins';
import { quoted } from '../syncs/errors';
import { AlreadyExists, InUse, RemoteNotFound } from './errors';
import { checkName } from './names';
import { checkRemoteFields, checkTogether, openFields, secretFields } from './remote-fields';
import type { RemoteChanges, RemoteFields } from './remote-fields';

/** What remotes are made and read with. */
export interface RemoteStore {
  readonly database: Database;
  readonly plugins: PluginRegistry;
  /** Opens the box for secrets, which makes the key file at its first use: only where there are secrets. */
  readonly secrets: () => SecretBox;
}

/** A remote as it is shown; of secrets, whether they are set. */
export type RemoteView = Pick<RemoteFields, (typeof openFields)[number]> & {
  readonly name: string;
  readonly type: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** False where the secrets were encrypted with a key that is not at hand. */
  readonly secretsReadable: boolean;
} & Readonly<Record<(typeof secretFields)[number], 'set' | null>>;

/** A field that an update has changed; of secrets, whether they are set. */
export interface FieldChange {
  readonly field: keyof RemoteFields;
  readonly from: unknown;
  readonly to: unknown;
}

/** @throws {@link RemoteNotFound} */
export async function findRemote(name: string, transaction?: Transaction): Promise<Remote> {
  const remote = await Remote.findOne({
    where: { name },
    ...(transaction ? { transaction, lock: transaction.LOCK.UPDATE } : {}),
  });
  if (!remote) throw new RemoteNotFound(name);
  return remote;
}

export async function listRemotes(): Promise<Remote[]> {
  return Remote.findAll({ order: ['name'] });
}

/**
 * Creates a remote; what is not given is as the schema says.
 *
 * @throws {@link InvalidValue}, {@link InvalidSetting}, {@link AlreadyExists}
 */
export async function createRemote(
  store: RemoteStore,
  {
    name,
    type,
    url,
    ...others
  }: RemoteChanges & { readonly name: string; readonly type: string; readonly url: string },
  transaction?: Transaction,
): Promise<Remote> {
  checkName('remote', name);
  store.plugins.get(type);
  const fields = { ...others, url, policy: others.policy ?? 'immediate' };
  checkRemoteFields(fields);
  checkTogether(onlyGiven(fields));
  const sealed = seal(store, {}, fields);
  try {
    const options = transaction ? { transaction } : {};
    const remote = await Remote.create({ name, type, url, ...openValues(fields), secrets: sealed }, options);
    return await remote.reload(options);
  } catch (error) {
    if (error instanceof UniqueConstraintError) throw new AlreadyExists('remote', name);
    throw error;
  }
}

/**
 * Changes a remote.
 *
 * @returns what is other than before; empty where all was so already.
 * @throws {@link RemoteNotFound}, {@link InvalidValue}
 */
export async function updateRemote(store: RemoteStore, name: string, changes: RemoteChanges): Promise<FieldChange[]> {
  checkRemoteFields(changes);
  return store.database.sequelize.transaction(async (transaction) => {
    const remote = await findRemote(name, transaction);
    const touchesSecrets = secretFields.some((field) => changes[field] !== undefined);
    const before = touchesSecrets ? openSecrets(store, remote) : {};
    const changed = [...changesOfOpenFields(remote, changes), ...changesOfSecrets(before, changes)];
    if (changed.length === 0) return [];
    checkTogether({ ...openValues(remote), ...secretsForChecks(store, remote, before), ...onlyGiven(changes) });
    await remote.update(
      {
        ...openValues(changes),
        ...(touchesSecrets ? { secrets: seal(store, before, changes) } : {}),
      },
      { transaction },
    );
    return changed;
  });
}

/** @throws {@link RemoteNotFound}, {@link InUse} where a repository or an alternate content source has it, or a sync runs. */
export async function deleteRemote({ database }: RemoteStore, name: string): Promise<void> {
  await database.sequelize.transaction(async (transaction) => {
    const remote = await findRemote(name, transaction);
    const users = await Repository.findAll({ where: { remoteId: remote.id }, order: ['name'], limit: 5, transaction });
    if (users.length > 0) {
      const names = users.map((user) => `"${user.name}"`).join(', ');
      throw new InUse(
        `Remote "${name}" is that of ${names}. Give them another one first: penstock repository update NAME --remote OTHER (or --no-remote).`,
        { remote: name },
      );
    }
    const alternates = await database.sequelize.query<{ name: string }>(
      'select name from alternate_content_sources where remote_id = ?',
      { replacements: [remote.id], transaction, type: QueryTypes.SELECT },
    );
    if (alternates[0]) {
      throw new InUse(
        `Remote "${name}" is that of the alternate content source "${alternates[0].name}". Delete that first: penstock acs delete ${quoted(alternates[0].name)}`,
        { remote: name },
      );
    }
    if ((await Sync.count({ where: { remoteId: remote.id, state: 'running' }, transaction })) > 0) {
      throw new InUse(`Remote "${name}" is being synced from. Wait for the end of the sync, or cancel it.`, {
        remote: name,
      });
    }
    await remote.destroy({ transaction });
  });
}

/** A remote as it may be shown. */
export function viewRemote(store: RemoteStore, remote: Remote): RemoteView {
  let secrets: RemoteSecrets = {};
  let secretsReadable = true;
  try {
    if (remote.secrets) secrets = store.secrets().open(remote.secrets, remote.name);
  } catch (error) {
    if (!(error instanceof InvalidSetting)) throw error;
    secretsReadable = false;
  }
  const shown = (field: (typeof secretFields)[number]) => (secrets[field] === undefined ? null : 'set');
  return {
    name: remote.name,
    type: remote.type,
    ...(openValues(remote) as Pick<RemoteFields, (typeof openFields)[number]>),
    clientKey: shown('clientKey'),
    username: shown('username'),
    password: shown('password'),
    proxyUsername: shown('proxyUsername'),
    proxyPassword: shown('proxyPassword'),
    headers: shown('headers'),
    secretsReadable,
    createdAt: remote.createdAt,
    updatedAt: remote.updatedAt,
  };
}

/** The open fields that are there; `Remote` has them under the same names. */
function openValues(from: RemoteChanges | Remote): Partial<Pick<RemoteFields, (typeof openFields)[number]>> {
  const values = openFields.map((field) => [field, from[field]] as const);
  return Object.fromEntries(values.filter(([, value]) => value !== undefined));
}

function onlyGiven(changes: RemoteChanges): Partial<RemoteFields> {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
}

function openSecrets(store: RemoteStore, remote: Remote): RemoteSecrets {
  return remote.secrets ? store.secrets().open(remote.secrets, remote.name) : {};
}

/** For an update that leaves secrets alone, they need not even be readable. */
function secretsForChecks(store: RemoteStore, remote: Remote, opened: RemoteSecrets): RemoteSecrets {
  if (Object.keys(opened).length > 0 || !remote.secrets) return opened;
  try {
    return store.secrets().open(remote.secrets, remote.name);
  } catch (error) {
    if (error instanceof InvalidSetting) return {};
    throw error;
  }
}

function seal(store: RemoteStore, before: RemoteSecrets, changes: RemoteChanges): Buffer | null {
  const merged: Record<string, unknown> = { ...before };
  for (const field of secretFields) {
    const value = changes[field];
    if (value === null) Reflect.deleteProperty(merged, field);
    else if (value !== undefined) merged[field] = value;
  }
  return Object.keys(merged).length === 0 ? null : store.secrets().seal(merged);
}

function changesOfOpenFields(remote: Remote, changes: RemoteChanges): FieldChange[] {
  return openFields
    .filter((field) => changes[field] !== undefined && changes[field] !== remote[field])
    .map((field) => ({ field, from: remote[field], to: changes[field] }));
}

function changesOfSecrets(before: RemoteSecrets, changes: RemoteChanges): FieldChange[] {
  return secretFields
    .filter((field) => {
      const value = changes[field];
      return value !== undefined && JSON.stringify(value) !== JSON.stringify(before[field] ?? null);
    })
    .map((field) => ({
      field,
      from: before[field] === undefined ? null : 'set',
      to: changes[field] === null ? null : 'set',
    }));
}
