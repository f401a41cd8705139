import { RepositoryVersion, RepositoryVersionCount } from '../models/repository-models';
import { VersionNotFound } from './errors';
import { findRepository } from './repositories';

/** How many contents a version added, removed and holds. */
export interface Counts {
  readonly added: number;
  readonly removed: number;
  readonly present: number;
}

/** A complete version as it is shown. */
export interface VersionView extends Counts {
  readonly repository: string;
  readonly number: number;
  readonly completedAt: Date | null;
  /** Contents that upstream declared and that it does not hold, as its sync could not have them. */
  readonly missing: number;
  /** The same counts for each content type. */
  readonly types: Readonly<Record<string, Counts>>;
}

/** The complete versions of a repository, the newest first. @throws {@link RepositoryNotFound} */
export async function listVersions(repository: string, limit: number): Promise<VersionView[]> {
  const { id } = await findRepository(repository);
  const versions = await RepositoryVersion.findAll({
    where: { repositoryId: id, complete: true },
    order: [['number', 'desc']],
    limit,
    // Counts in a query of their own: a join would make the limit one of counts.
    include: [{ model: RepositoryVersionCount, as: 'counts', separate: true }],
  });
  return versions.map((version) => viewVersion(repository, version));
}

/**
 * One complete version, the newest where no number is given.
 *
 * @throws {@link RepositoryNotFound}, {@link VersionNotFound}
 */
export async function findVersion(repository: string, number?: number): Promise<VersionView> {
  const { id } = await findRepository(repository);
  const version = await RepositoryVersion.findOne({
    where: { repositoryId: id, ...(number === undefined ? { complete: true } : { number }) },
    order: [['number', 'desc']],
    include: [{ model: RepositoryVersionCount, as: 'counts', separate: true }],
  });
  if (!version) throw new VersionNotFound(repository, number ?? 0);
  if (!version.complete)
    throw new VersionNotFound(repository, version.number, ': a sync has begun it, and is not over');
  return viewVersion(repository, version);
}

function viewVersion(
  repository: string,
  { number, completedAt, missing, counts = [] }: RepositoryVersion,
): VersionView {
  const sum = (key: keyof Counts) => counts.reduce((total, count) => total + count[key], 0);
  const types = [...counts].sort((a, b) => (a.type < b.type ? -1 : 1));
  return {
    repository,
    number,
    completedAt,
    missing,
    added: sum('added'),
    removed: sum('removed'),
    present: sum('present'),
    types: Object.fromEntries(types.map(({ type, added, removed, present }) => [type, { added, removed, present }])),
  };
}
