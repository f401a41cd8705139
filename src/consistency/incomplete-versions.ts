import { quoted } from '../syncs/errors';
import { openStates } from './problem';
import type { CheckContext, Problem } from './problem';

interface IncompleteVersion {
  readonly id: string;
  readonly repositoryId: string;
  readonly repository: string;
  readonly version: number;
  readonly owned: boolean;
  readonly visibleIn: number | null;
  readonly added: number;
  readonly removed: number;
}

interface OpenSync {
  readonly sync: string;
  readonly state: string;
  readonly repository: string;
  readonly found: string;
}

/** What is incomplete is seen by nobody and owned by an open sync, and an open sync has what it can go on with. */
export async function* checkIncompleteVersions(
  { pool }: CheckContext,
  tally: (versions: number) => void,
): AsyncGenerator<Problem> {
  const { rows: counted } = await pool.query<{ versions: number }>(
    'select count(*)::int as versions from repository_versions where not complete',
  );
  tally(counted[0]?.versions ?? 0);
  const { rows: versions } = await pool.query<IncompleteVersion>(brokenVersions);
  for (const each of versions) {
    const { repository, version } = each;
    const rows = `${each.added} contents added and ${each.removed} removed`;
    if (each.visibleIn !== null) {
      yield {
        kind: 'incompleteVersionVisible',
        message: `Version ${version} of repository "${repository}" is incomplete, and its ${rows} are seen in version ${each.visibleIn}, which is complete.`,
        mend: `Restore the repository from a backup, or throw the incomplete version away: ${discardCommand(each)}`,
        ...{ repository, version, expected: 'no complete version after it', found: `version ${each.visibleIn}` },
      };
    }
    if (!each.owned) {
      yield {
        kind: 'incompleteVersionWithoutSync',
        message: `Version ${version} of repository "${repository}" is incomplete, with ${rows}, and no open sync will complete it.`,
        mend: `Until it is gone the repository cannot be synced. Remove it: ${discardCommand(each)}`,
        ...{ repository, version, expected: 'a sync that is running, failed or canceled', found: 'none' },
      };
    }
  }
  const { rows: syncs } = await pool.query<OpenSync>(brokenSyncs);
  for (const { sync, state, repository, found } of syncs) {
    yield {
      kind: 'openSyncWithoutVersion',
      message: `Sync ${sync} of repository "${repository}" is ${state} and has to own an incomplete version of it; found ${found}.`,
      mend: `Throw it away, and sync the repository again: penstock sync discard ${quoted(repository)}`,
      ...{ repository, sync, expected: 'an incomplete version', found },
    };
  }
}

/** A command discards what a sync owns; what none owns is for PostgreSQL. */
function discardCommand({ id, repositoryId, repository, version, owned }: IncompleteVersion): string {
  if (owned) return `penstock sync discard ${quoted(repository)}`;
  return (
    `begin; update repository_contents set version_removed = null where repository_id = ${repositoryId} and version_removed = ${version}; ` +
    `delete from repository_versions where id = ${id} and not complete; commit;`
  );
}

/** One snapshot: version and sync begin and end in the same transactions. */
const brokenVersions = `
  select version.id, version.repository_id as "repositoryId", repository.name as repository, version.number as version,
         sync.id is not null as owned, newer.number as "visibleIn",
         (select count(*) from repository_contents held
           where held.repository_id = version.repository_id and held.version_added = version.number)::int as added,
         (select count(*) from repository_contents held
           where held.repository_id = version.repository_id and held.version_removed = version.number)::int as removed
    from repository_versions version
    join repositories repository on repository.id = version.repository_id
    left join syncs sync on sync.version_id = version.id and sync.state in ${openStates}
    left join lateral (
      select number from repository_versions
       where repository_id = version.repository_id and complete and number > version.number
       order by number limit 1) newer on true
   where not version.complete and (sync.id is null or newer.number is not null)
   order by version.id`;

const brokenSyncs = `
  select sync.id as sync, sync.state, repository.name as repository,
         case when version.id is null then 'none'
              when version.repository_id <> sync.repository_id then 'one of another repository'
              else 'version ' || version.number || ', which is complete' end as found
    from syncs sync
    join repositories repository on repository.id = sync.repository_id
    left join repository_versions version on version.id = sync.version_id
   where sync.state in ${openStates}
     and (version.id is null or version.complete or version.repository_id <> sync.repository_id)
   order by sync.id`;
