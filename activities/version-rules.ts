import type { PoolClient } from 'pg';

import { digestNames } from '../src/downloads/digests';
import { InvalidVersion } from '../src/models/sync-errors';
import type { Plugin } from '../src/plugins/plugin';
import { sameNaturalKey, sameValue } from '../src/staging/content-sql';
import type { CompletingSync } from './complete-version';

/** How many objects an error names; the rest is counted. */
const named = 10;

/** What upstream declares in a sync, also what was refused for now: never removed. */
function declaredContents(sync: string): string {
  return `select unit.content_id from sync_batches batch join staged_units unit on unit.batch_id = batch.id
           where batch.sync_id = ${sync} and unit.outcome is distinct from 'dropped'`;
}

/**
 * Mirror mode: what upstream no longer declares leaves the repository with this version. `not in`, as its hashed subplan needs
 * no statistics; an anti join of rows this fresh may become a nested loop.
 */
export async function removeUndeclared(
  client: PoolClient,
  { id, repositoryId, number }: Pick<CompletingSync, 'id' | 'repositoryId' | 'number'>,
): Promise<void> {
  await client.query(
    `update repository_contents held set version_removed = $3
      where held.repository_id = $2 and held.version_removed is null and held.version_added < $3
        and held.content_id not in (${declaredContents('$1')})`,
    [id, repositoryId, number],
  );
}

/**
 * Content with the repository key of a newly added one leaves the repository with this version. `is true` keeps the planner
 * from making a join of the hashed subplan, for the same reason as above.
 */
export async function evictReplaced(
  client: PoolClient,
  { id, repositoryId, number }: Pick<CompletingSync, 'id' | 'repositoryId' | 'number'>,
  plugin: Plugin,
): Promise<void> {
  for (const { table, repositoryKey } of plugin.contents) {
    if (repositoryKey.length === 0) continue;
    const same = repositoryKey
      .map((column) => sameValue(column, `replaced.${column.name}`, `fresh.${column.name}`))
      .join(' and ');
    await client.query(
      `with added as materialized (
         select content_id from repository_contents
          where repository_id = $1 and version_added = $2 and version_removed is null
       ), evicted as materialized (
         select replaced.content_id
           from added
           join ${table} fresh on fresh.content_id = added.content_id
           join ${table} replaced on ${same}
       )
       update repository_contents held set version_removed = $2
        where held.repository_id = $1 and held.version_added < $2 and held.version_removed is null
          and (held.content_id in (select content_id from evicted)) is true
          and held.content_id not in (${declaredContents('$3')})`,
      [repositoryId, number, id],
    );
  }
}

/**
 * Turns the references that were declared into rows. Each must lead to a content that the version holds.
 *
 * @throws {@link InvalidVersion} naming those that lead nowhere.
 */
export async function applyReferences(client: PoolClient, sync: CompletingSync, plugin: Plugin): Promise<void> {
  for (const type of plugin.contents) {
    const referred = sameNaturalKey(type, 'target').replaceAll('unit.fields', 'reference.key');
    const { rows } = await client.query<{ type: string; fields: unknown; name: string; key: unknown; total: number }>(
      `with declared as materialized (
         select unit.content_id, unit.type, unit.fields, reference.name, reference.key,
                (select target.content_id from ${type.table} target
                   join repository_contents held on held.content_id = target.content_id
                  where ${referred} and held.repository_id = $3 and held.version_removed is null limit 1) as target_id
           from sync_batches batch
           join staged_references reference on reference.batch_id = batch.id
           join staged_units unit on unit.id = reference.unit_id
          where batch.sync_id = $1 and reference.type = $2 and unit.outcome is null
       ), resolved as (
         insert into content_references (content_id, name, referenced_id)
         select distinct content_id, name, target_id from declared where target_id is not null
         order by content_id, name, target_id
         on conflict do nothing
       )
       select type, fields, name, key, count(*) over ()::int as total from declared where target_id is null limit ${named}`,
      [sync.id, type.name, sync.repositoryId],
    );
    if (rows.length === 0) continue;
    const list = rows.map(
      (row) =>
        `${row.type} ${JSON.stringify(row.fields)} refers by "${row.name}" to ${type.name} ${JSON.stringify(row.key)}`,
    );
    throw new InvalidVersion(
      `Repository "${sync.repository}": ${rows[0]?.total ?? 0} references lead to content that upstream does not have:\n${list.join('\n')}`,
      { repository: sync.repository },
    );
  }
}

/**
 * One content has one file for each path, and that has one size and one digest of a kind. A file that was downloaded is known
 * to be what was declared; this is about those that are not downloaded yet, where nobody would notice.
 *
 * @throws {@link InvalidVersion} naming the paths and both values.
 */
export async function refuseContradictions(
  client: PoolClient,
  sync: Pick<CompletingSync, 'id' | 'repository'>,
): Promise<void> {
  const { rows } = await client.query<{ path: string; one: string; other: string }>(contradictions, [sync.id]);
  const [first] = rows;
  if (!first) return;
  const list = rows.map(({ path, one, other }) => `${JSON.stringify(path)}: ${one} and ${other}`);
  throw new InvalidVersion(
    `Repository "${sync.repository}": upstream declares these files twice, and not as the same:\n${list.join('\n')}\nUpstream has to declare each as it is.`,
    { repository: sync.repository, path: first.path, expected: first.one, found: first.other },
  );
}

/** Contents that were declared several times in this sync are few: their files alone are compared. */
const contradictions = `
  with repeated as materialized (
    select unit.content_id
      from sync_batches batch join staged_units unit on unit.batch_id = batch.id
     where batch.sync_id = $1 and unit.outcome is null
     group by unit.content_id having count(*) > 1
  ), declared as (
    select unit.content_id, file.relative_path as path, value.kind, value.declared
      from repeated
      join staged_units unit on unit.content_id = repeated.content_id and unit.outcome is null
      join sync_batches batch on batch.id = unit.batch_id and batch.sync_id = $1
      join staged_artifacts file on file.unit_id = unit.id
     cross join lateral (
       values ('size', file.size::text), ${digestNames.map((name) => `('${name}', file.${name})`).join(', ')}
     ) as value (kind, declared)
  )
  select path, kind || ' ' || min(declared) as one, kind || ' ' || max(declared) as other
    from declared group by content_id, path, kind having min(declared) <> max(declared) order by path limit ${named}`;

/**
 * Checks the version as a whole: one content for each repository key, no path twice, no path below another.
 *
 * @throws {@link InvalidVersion} naming the paths and, where there are some, the digests.
 */
export async function validateVersion(
  client: PoolClient,
  sync: Pick<CompletingSync, 'repository' | 'repositoryId' | 'number'>,
  plugin: Plugin,
): Promise<void> {
  const { rowCount } = await client.query(
    'select from repository_contents where repository_id = $1 and version_added = $2 and version_removed is null limit 1',
    [sync.repositoryId, sync.number],
  );
  if (rowCount === 0) return;
  for (const { name, table, repositoryKey, naturalKey } of plugin.contents) {
    if (repositoryKey.length === 0) continue;
    const key = repositoryKey.map((column) => `detail.${column.name}`).join(', ');
    const { rows } = await client.query<{ key: unknown; contents: unknown[] }>(
      `select json_build_array(${key}) as key,
              json_agg(json_build_array(${naturalKey.map((column) => `detail.${column.name}`).join(', ')})) as contents
         from repository_contents held join ${table} detail on detail.content_id = held.content_id
        where held.repository_id = $1 and held.version_removed is null
        group by ${key} having count(*) > 1 order by ${key} limit ${named}`,
      [sync.repositoryId],
    );
    if (rows.length === 0) continue;
    const fields = naturalKey.map(({ field }) => field).join(', ');
    const list = rows.map(
      (row) => `${JSON.stringify(row.key)}: ${row.contents.map((each) => JSON.stringify(each)).join(' and ')}`,
    );
    throw new InvalidVersion(
      `Repository "${sync.repository}": upstream declares several contents of type ${name} (${fields}) where a version can hold one:\n${list.join('\n')}\nUpstream has to keep one of each.`,
      { repository: sync.repository, ...pathOf(rows[0]?.key) },
    );
  }
  const { rows } = await client.query<{ path: string; next: string }>(overlappingPaths, [sync.repositoryId]);
  if (rows.length === 0) return;
  const list = rows.map(({ path, next }) => (path === next ? `"${path}" twice` : `"${path}" and "${next}"`));
  throw new InvalidVersion(
    `Repository "${sync.repository}": these paths cannot be in one version, as a file would be a folder too, or one path two files:\n${list.join('\n')}`,
    { repository: sync.repository, ...pathOf([rows[0]?.path]) },
  );
}

/**
 * With `/` sorted before everything else, what lies below a path comes right after it: a comparison of neighbours finds
 * all overlaps, in one sort. Control characters are never part of a path.
 */
const overlappingPaths = `
  select path, next from (
    select attached.relative_path as path,
           lead(attached.relative_path) over (order by replace(attached.relative_path, '/', chr(1)) collate "C") as next
      from repository_contents held
      join content_artifacts attached on attached.content_id = held.content_id
     where held.repository_id = $1 and held.version_removed is null
  ) neighbours
  where next = path or starts_with(next, path || '/')
  limit ${named}`;

function pathOf(key: unknown): { path?: string } {
  const first: unknown = Array.isArray(key) ? key[0] : undefined;
  return typeof first === 'string' ? { path: first } : {};
}
