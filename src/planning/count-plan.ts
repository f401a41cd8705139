import type { PoolClient } from 'pg';

import { evictReplaced, refuseContradictions, removeUndeclared, validateVersion } from '../../activities/version-rules';
import { digestNames } from '../downloads/digests';
import { displayUrl } from '../downloads/display-url';
import type { SyncMode } from '../models/sync-models';
import type { PluginRegistry } from '../plugins';
import type { Plugin } from '../plugins/plugin';
import { fieldsOf } from '../repositories/contents';
import type { Target } from '../syncs/find-target';
import { plannedSync, plannedTable, plannedVersion } from './planning-tables';

/** Contents of one type. */
export interface PlannedContents {
  readonly type: string;
  /** That would be saved, and added. */
  readonly new: number;
  /** That are saved already, and would be added: another repository or an earlier version has them. */
  readonly known: number;
  /** That new or known ones with the same repository key would take the place of. */
  readonly replaced: number;
  /** That upstream no longer has, and would be removed. */
  readonly removed: number;
  readonly kept: number;
}

/** Files that would be downloaded; what has the same digest counts once. */
export interface PlannedFiles {
  readonly files: number;
  /** Of those whose size upstream declares. */
  readonly bytes: number;
  /** Files whose size it does not declare. */
  readonly unknownSizes: number;
}

/** All downloads, and those from each host: the hundred that most bytes come from. */
export interface PlannedDownloads extends PlannedFiles {
  readonly hosts: readonly (PlannedFiles & { readonly host: string })[];
}

/** A content that would come or go. */
export interface PlannedChange {
  readonly change: 'added' | 'removed';
  readonly type: string;
  /** Its natural key. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/**
 * Makes the version of a plan in its tables, by the rules that complete one.
 *
 * @throws {@link InvalidVersion} where the sync would be refused; what a stage of the plugin's own may change is not judged.
 */
export async function makeVersion(
  client: PoolClient,
  plugin: Plugin,
  { repository, target, mode }: { readonly repository: string; readonly target: Target; readonly mode: SyncMode },
): Promise<void> {
  const number = plannedVersion(target);
  const version = { id: plannedSync, repository, repositoryId: target.repositoryId, number };
  await client.query(
    `insert into repository_contents (repository_id, content_id, version_added, type, replaced)
     select distinct $1::bigint, content_id, $2::integer, type, false from staged_units
     on conflict do nothing`,
    [target.repositoryId, number],
  );
  // Rows this fresh have no statistics, and autovacuum never sees temporary tables.
  for (const table of ['staged_units', 'staged_artifacts', 'repository_contents', ...plugin.contents.map(plannedTable)])
    await client.query(`analyze pg_temp.${table}`);
  const judged = Object.keys(plugin.stages).length === 0;
  if (judged) await refuseContradictions(client, version);
  await evictReplaced(client, version, plugin);
  await client.query('update repository_contents set replaced = true where version_removed is not null');
  if (mode === 'mirror') await removeUndeclared(client, version);
  if (judged) await validateVersion(client, version, plugin);
}

/** What would become of the contents, by type. */
export async function countContents(client: PoolClient, target: Target): Promise<PlannedContents[]> {
  const { rows } = await client.query<PlannedContents>(
    `select type,
            count(*) filter (where version_added = $1 and content_id < 0)::int as new,
            count(*) filter (where version_added = $1 and content_id > 0)::int as known,
            count(*) filter (where replaced)::int as replaced,
            count(*) filter (where version_removed is not null and not replaced)::int as removed,
            count(*) filter (where version_added < $1 and version_removed is null)::int as kept
       from repository_contents group by type order by type`,
    [plannedVersion(target)],
  );
  return rows;
}

/** What would be downloaded, and how many files only at their first request. */
export async function countDownloads(
  client: PoolClient,
): Promise<{ readonly downloads: PlannedDownloads; readonly deferred: number }> {
  const { rows } = await client.query<PlannedFiles & { origin: string | null; deferred: number }>(
    `with missing as materialized (
       select urls[1] as url, size, deferred,
              coalesce(${digestNames.map((name) => `'${name}:' || ${name}`).join(', ')}, urls[1]) as file
         from staged_artifacts where artifact_id is null and stored_sha256 is null
     ), wanted as (
       select distinct on (file) coalesce(substring(url from '^[^:]+://[^/?#]*'), '') as origin, size
         from missing where not deferred order by file, size nulls last, url
     ), counted as (
       select origin, count(*) as files, coalesce(sum(size), 0) as bytes,
              count(*) filter (where size is null) as unknown_sizes
         from wanted group by grouping sets ((origin), ())
     )
     select origin, files::int as files, bytes::float8 as bytes, unknown_sizes::int as "unknownSizes",
            (select count(*)::int from missing where deferred) as deferred
       from counted order by origin is not null, counted.bytes desc, counted.files desc, origin limit 101`,
  );
  const [total, ...hosts] = rows;
  if (!total) throw new Error('a grouping set without columns has one row');
  const { files, bytes, unknownSizes, deferred } = total;
  return {
    downloads: {
      files,
      bytes,
      unknownSizes,
      hosts: hosts.map(({ origin, ...counts }) => ({
        host: hostOf(origin ?? ''),
        files: counts.files,
        bytes: counts.bytes,
        unknownSizes: counts.unknownSizes,
      })),
    },
    deferred,
  };
}

/** A host with its port, without user name and password; of local files, and of what is no usual url, all that there is. */
function hostOf(origin: string): string {
  return (URL.canParse(origin) && new URL(origin).host) || displayUrl(origin) || 'unusual urls';
}

/** Contents that lead to more, which is not known before their files are downloaded. */
export async function countUnexplored(client: PoolClient): Promise<number> {
  const { rows } = await client.query<{ unexplored: number }>(
    `select count(*)::int as unexplored from staged_units where step is not null and discovery is null`,
  );
  return rows[0]?.unexplored ?? 0;
}

/** What would go, and then what would come, in the order in which it was saved or is declared. */
export async function listPlannedChanges(
  client: PoolClient,
  plugins: PluginRegistry,
  limit: number,
): Promise<PlannedChange[]> {
  const { rows } = await client.query<Omit<PlannedChange, 'fields'> & { id: string }>(
    `select content_id as id, type, case when version_removed is null then 'added' else 'removed' end as change
       from repository_contents
      where version_removed is not null
         or version_added = (select base_version + 1 from syncs where id = ${plannedSync})
      order by change desc, abs(content_id) limit $1`,
    [limit],
  );
  const keys = await fieldsOf({ pool: client, plugins }, rows, ({ naturalKey }) => naturalKey);
  return rows.map(({ id, ...row }) => ({ ...row, fields: keys.get(id) ?? {} }));
}
