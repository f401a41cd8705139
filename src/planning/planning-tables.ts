import type { Pool, PoolClient } from 'pg';

import type { ContentType } from '../plugins/content-type';
import type { Plugin } from '../plugins/plugin';
import type { Target } from '../syncs/find-target';

/** What a plan is made for. */
export interface PlanningScope {
  readonly target: Target;
  readonly plugin: Plugin;
  /** The interrupted sync that would go on. */
  readonly resumed: string | null;
}

/**
 * Runs a plan on a connection of its own, where temporary tables stand in front of those that a sync writes: the very
 * statements of the stages run there, and nobody else sees what they do. PostgreSQL itself refuses to write anything but
 * temporary tables on it, and they go with the connection, which is closed at the end. No transaction is open while
 * upstream is waited for.
 */
export async function withPlanningTables<T>(
  pool: Pool,
  scope: PlanningScope,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  const ignore = () => undefined;
  // A lost connection fails the statement under way; without a listener it would end the process as well.
  client.on('error', ignore);
  try {
    await client.query('begin');
    await rememberDownloads(client, scope);
    await shadowStaging(client);
    await shadowRepository(client, scope);
    for (const type of scope.plugin.contents) await shadowContents(client, type);
    await client.query('commit; set session characteristics as transaction read only');
    return await work(client);
  } finally {
    client.release(true);
    client.off('error', ignore);
  }
}

/** The number of the sync that the staging tables of a plan hold. */
export const plannedSync = '1';

/** The version's number, which only has to be higher than that of the newest one. */
export function plannedVersion({ latest }: Target): number {
  return latest + 1;
}

/** Files that the interrupted sync has downloaded; some of them are known by nothing but their urls. */
async function rememberDownloads(client: PoolClient, { resumed }: PlanningScope): Promise<void> {
  await client.query(
    `create temporary table earlier_downloads as
     select distinct on (staged.relative_path, staged.urls)
            staged.relative_path, staged.urls, staged.stored_sha256, staged.stored_size
       from sync_batches batch
       join staged_artifacts staged on staged.batch_id = batch.id
      where batch.sync_id = $1 and staged.stored_sha256 is not null`,
    [resumed],
  );
}

/** A new content has an id below zero. */
async function shadowStaging(client: PoolClient): Promise<void> {
  // Read before the tables that it is of are hidden, so that it finds those that hide them.
  const { rows } = await client.query<{ definition: string }>(
    `select pg_get_viewdef('whole_units'::regclass) as definition`,
  );
  await client.query(`create temporary sequence planned_content_ids increment by -1`);
  for (const table of [
    'syncs',
    'sync_batches',
    'sync_discoveries',
    'staged_units',
    'staged_artifacts',
    'staged_references',
  ]) {
    await client.query(
      `create temporary table ${table} (like ${table} including defaults including identity including indexes)`,
    );
  }
  await client.query(
    `alter table pg_temp.staged_units alter content_id set default nextval('pg_temp.planned_content_ids')`,
  );
  await client.query(`create temporary view whole_units as ${rows[0]?.definition ?? ''}`);
}

async function shadowRepository(client: PoolClient, { target }: PlanningScope): Promise<void> {
  await client.query(
    `insert into pg_temp.syncs (repository_id, remote_id, state, mode, policy, url, base_version, workflow_id, run_id,
                                fence, discoveries)
     values ($1, $2, 'running', 'additive', $3, $4, $5, '', '', 0, 1)`,
    [target.repositoryId, target.remoteId, target.policy, target.url, target.latest],
  );
  await client.query(
    `insert into pg_temp.sync_discoveries (sync_id, number, step) values (${plannedSync}, 1, 'start')`,
  );
  await client.query(
    `create temporary table repository_contents as
     select held.repository_id, held.content_id, held.version_added, null::integer as version_removed, content.type,
            false as replaced
       from repository_contents held join contents content on content.id = held.content_id
      where held.repository_id = $1 and held.version_added <= $2
        and (held.version_removed is null or held.version_removed > $2)`,
    [target.repositoryId, target.latest],
  );
  await client.query(
    `create unique index on pg_temp.repository_contents (repository_id, content_id) where version_removed is null`,
  );
}

/** What is saved and what would be, by the keys: a content that one batch would save is known to the next one. */
async function shadowContents(client: PoolClient, type: ContentType): Promise<void> {
  const columns = keyColumns(type).join(', ');
  await client.query(
    `create temporary table ${plannedTable(type)} as select content_id, ${columns} from ${type.table} where false`,
  );
  await client.query(
    `create index on pg_temp.${plannedTable(type)} (${type.naturalKey.map(({ name }) => name).join(', ')})`,
  );
  await client.query(`create index on pg_temp.${plannedTable(type)} (content_id)`);
  await client.query(
    `create temporary view ${type.table} as
     select content_id, ${columns} from ${type.table}
     union all
     select content_id, ${columns} from pg_temp.${plannedTable(type)}`,
  );
}

/** Where the contents of a type lie that would be saved. */
export function plannedTable({ table }: ContentType): string {
  return `planned_${table}`;
}

/** The columns of a type that decide what is the same content, and what takes the place of another. */
export function keyColumns({ naturalKey, repositoryKey }: ContentType): string[] {
  return [...new Set([...naturalKey, ...repositoryKey].map(({ name }) => name))];
}
