import type { Transaction } from 'sequelize';

import type { Database } from '../models/database';
import { Distribution } from '../models/distribution-models';
import type { Guard } from '../models/distribution-models';
import { Repository, RepositoryVersion } from '../models/repository-models';
import { RepositoryNotFound } from '../models/sync-errors';
import { AlreadyExists, InvalidValue, VersionNotFound } from '../repositories/errors';
import { checkName } from '../repositories/names';
import { checkBasePath } from './base-paths';
import { checkClientAuthorities } from './client-authorities';
import { DistributionNotFound, OverlappingBasePaths } from './errors';

/** What a distribution serves: a repository's newest complete version, or the one with this number. */
export interface Target {
  readonly repository: string;
  readonly version?: number | undefined;
}

/** Another target; without a repository it is a version of the one that is served now. */
type Retarget = Pick<Target, 'version'> & { readonly repository?: string | undefined };

/** What is to be changed; what is absent stays. */
export interface DistributionChanges {
  readonly basePath?: string | undefined;
  /** Null: nothing is served. */
  readonly target?: Retarget | null | undefined;
  /** Null: everybody may read. */
  readonly guard?: Guard | null | undefined;
  /** PEM: the authorities of the guard `certificate`. */
  readonly clientCa?: string | undefined;
}

/** A distribution as it is shown. */
export interface DistributionView {
  readonly name: string;
  readonly basePath: string;
  /** Null: it points to nothing. */
  readonly repository: string | null;
  /** The version that it points to; null: the newest complete one. */
  readonly version: number | null;
  /** The version that readers get now; null: nothing. */
  readonly serves: number | null;
  readonly guard: Guard | null;
  /** PEM. */
  readonly clientCa: string | null;
  readonly tokens: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** @throws {@link DistributionNotFound} */
export async function findDistribution(name: string, transaction: Transaction | null = null): Promise<Distribution> {
  const distribution = await Distribution.findOne({ where: { name }, transaction });
  if (!distribution) throw new DistributionNotFound(name);
  return distribution;
}

/** All distributions, in the order of their names. */
export async function listDistributions({ pool }: Database): Promise<DistributionView[]> {
  return (await pool.query<DistributionView>(viewOf, [null])).rows;
}

/** @throws {@link DistributionNotFound} */
export async function viewDistribution({ pool }: Database, name: string): Promise<DistributionView> {
  const { rows } = await pool.query<DistributionView>(viewOf, [name]);
  if (!rows[0]) throw new DistributionNotFound(name);
  return rows[0];
}

/** @throws {@link InvalidValue}, {@link AlreadyExists}, {@link OverlappingBasePaths}, {@link RepositoryNotFound}, {@link VersionNotFound} */
export async function createDistribution(
  database: Database,
  {
    name,
    basePath,
    target,
    ...access
  }: DistributionChanges & {
    readonly name: string;
    readonly basePath: string;
    readonly target?: Target | undefined;
  },
): Promise<void> {
  checkName('distribution', name);
  checkBasePath(basePath);
  const checked = checkAccess({ guard: null, clientCa: null }, access);
  await oneAfterTheOther(database, async (transaction) => {
    if (await Distribution.findOne({ where: { name }, transaction })) throw new AlreadyExists('distribution', name);
    await refuseOverlap(database, basePath, null, transaction);
    const served = target ? await findServed(target, transaction) : nothing;
    await Distribution.create({ name, basePath, ...served, ...checked }, { transaction });
  });
}

/**
 * Changes a distribution by one statement: readers see it as it was, or all of the change.
 *
 * @throws {@link DistributionNotFound}, {@link InvalidValue}, {@link OverlappingBasePaths}, {@link RepositoryNotFound},
 * {@link VersionNotFound}
 */
export async function updateDistribution(
  database: Database,
  name: string,
  { basePath, target, ...access }: DistributionChanges,
): Promise<void> {
  if (basePath !== undefined) checkBasePath(basePath);
  await oneAfterTheOther(database, async (transaction) => {
    const distribution = await findDistribution(name, transaction);
    if (basePath !== undefined) await refuseOverlap(database, basePath, distribution.id, transaction);
    await distribution.update(
      {
        ...(basePath === undefined ? {} : { basePath }),
        ...(target === undefined ? {} : await findNewlyServed(database, distribution, target, transaction)),
        ...checkAccess(distribution, access),
      },
      { transaction },
    );
  });
}

/** Deletes a distribution with its tokens; what it served stays. @throws {@link DistributionNotFound} */
export async function deleteDistribution(name: string): Promise<void> {
  if ((await Distribution.destroy({ where: { name } })) === 0) throw new DistributionNotFound(name);
}

/** An advisory lock of PostgreSQL; the number is arbitrary. */
const distributionLock = 0x50454e44;

/**
 * Distributions are made and changed one after the other: who looks for an overlap sees all that there is, and can name it. The
 * exclusion constraint alone refuses one too, but two that overlap and come at once may wait for each other in a circle.
 */
async function oneAfterTheOther(
  { sequelize }: Database,
  work: (transaction: Transaction) => Promise<void>,
): Promise<void> {
  await sequelize.transaction(async (transaction) => {
    await sequelize.query('select pg_advisory_xact_lock(?)', { replacements: [distributionLock], transaction });
    await work(transaction);
  });
}

/** Asks as the exclusion constraint does, so that its index answers. */
async function refuseOverlap(
  { sequelize }: Database,
  basePath: string,
  except: string | null,
  transaction: Transaction,
): Promise<void> {
  const [other] = await sequelize.query(
    `select * from distributions
      where path_range(base_path || '/', base_path || '0') && path_range(:basePath || '/', :basePath || '0')
        and id is distinct from :except
      order by base_path collate "C" limit 1`,
    { replacements: { basePath, except }, model: Distribution, mapToModel: true, transaction },
  );
  if (other) throw new OverlappingBasePaths(basePath, other);
}

type Served = Pick<Distribution, 'repositoryId' | 'versionId'>;
const nothing: Served = { repositoryId: null, versionId: null };

/** The repository is locked as a foreign key would lock it: until the end nobody deletes it, nor any version of it. */
async function findServed({ repository: name, version: number }: Target, transaction: Transaction): Promise<Served> {
  const repository = await Repository.findOne({ where: { name }, transaction, lock: transaction.LOCK.KEY_SHARE });
  if (!repository) throw new RepositoryNotFound(name);
  if (number === undefined) return { repositoryId: repository.id, versionId: null };
  const version = await RepositoryVersion.findOne({ where: { repositoryId: repository.id, number }, transaction });
  if (!version) throw new VersionNotFound(name, number);
  if (!version.complete) throw new VersionNotFound(name, number, ': a sync has begun it, and is not over');
  return { repositoryId: null, versionId: version.id };
}

async function findNewlyServed(
  database: Database,
  { name }: Distribution,
  target: Retarget | null,
  transaction: Transaction,
): Promise<Served> {
  if (target === null) return nothing;
  const repository = target.repository ?? (await viewDistribution(database, name)).repository;
  if (repository !== null) return findServed({ ...target, repository }, transaction);
  throw new InvalidValue('version', `distribution "${name}" has no repository now; give the repository too.`);
}

/** The guard with what it needs, and with nothing else. */
function checkAccess(
  now: { readonly guard: Guard | null; readonly clientCa: string | null },
  changes: Pick<DistributionChanges, 'guard' | 'clientCa'>,
): Pick<Distribution, 'guard' | 'clientCa'> {
  const guard = changes.guard === undefined ? now.guard : changes.guard;
  if (guard !== 'certificate') {
    if (changes.clientCa === undefined) return { guard, clientCa: null };
    throw new InvalidValue('client ca', `it is for the guard "certificate", and the guard is "${guard ?? 'none'}".`);
  }
  const clientCa = changes.clientCa === undefined ? now.clientCa : checkClientAuthorities(changes.clientCa);
  if (clientCa !== null) return { guard, clientCa };
  throw new InvalidValue(
    'guard',
    '"certificate" needs the authorities that sign the certificates of clients; give a client ca too.',
  );
}

const viewOf = `
  select distribution.name, distribution.base_path as "basePath", repository.name as repository, pinned.number as version,
         coalesce(pinned.number, newest.number) as serves, distribution.guard, distribution.client_ca as "clientCa",
         (select count(*)::int from distribution_tokens where distribution_id = distribution.id) as tokens,
         distribution.created_at as "createdAt", distribution.updated_at as "updatedAt"
    from distributions distribution
    left join repository_versions pinned on pinned.id = distribution.version_id
    left join repositories repository on repository.id = coalesce(distribution.repository_id, pinned.repository_id)
    left join lateral (select max(number) as number from repository_versions
                        where repository_id = distribution.repository_id and complete) newest on true
   where $1::text is null or distribution.name = $1
   order by distribution.name`;
