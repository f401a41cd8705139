import type { PoolClient } from 'pg';

import { digestNames } from '../src/downloads/digests';
import type { ContentType } from '../src/plugins/content-type';
import { sameNaturalKey, stagedKey, stagedValue } from '../src/staging/content-sql';
import { batchSql } from '../src/staging/batch-sql';
import { runningFor } from '../src/staging/refused-by-database';
import type { ActivityDependencies } from './dependencies';
import { StageAttempt } from './stage';
import type { BatchTally, StageInput } from './stage';

/**
 * Saves the contents of the batch that are new and whole, and ties files to contents: also to known ones whose file was
 * deferred until now. Another file for the same content and path is refused, with both digests.
 */
export const saveContents =
  ({ database, plugins, metrics }: ActivityDependencies) =>
  async (input: StageInput): Promise<BatchTally> => {
    const attempt = await StageAttempt.begin(database.pool, input);
    let saved = 0;
    const tally = await attempt.transaction(async (client) => {
      const { rows } = await client.query<{ type: string; plugin: string; units: number; known: number }>(
        `select unit.type, repository.type as plugin, count(*) filter (where not unit.known)::int as units,
                count(*) filter (where unit.known)::int as known
           from whole_units unit, syncs sync join repositories repository on repository.id = sync.repository_id
          where unit.batch_id = $1 and sync.id = $2
          group by unit.type, repository.type order by unit.type`,
        [attempt.batchId, input.syncId],
      );
      const types = rows.filter(({ units }) => units > 0);
      const plugin = types[0] && plugins.get(types[0].plugin);
      const sql = batchSql(client, attempt.batchId);
      const { before, after } = plugin?.saveHooks ?? {};
      if (before) await runningFor(`Save hook "before" of plugin "${plugin?.name}"`, () => before(sql));
      for (const { type, units } of types) {
        if (!plugin) continue;
        saved += await runningFor(`New contents of type ${type}`, () =>
          insertContents(client, attempt.batchId, plugin.content(type), units),
        );
      }
      if (after) await runningFor(`Save hook "after" of plugin "${plugin?.name}"`, () => after(sql));
      // Contents that were all saved just now, each by one unit, have no other files.
      const allNew = rows.reduce((sum, { units, known }) => sum + units + known, 0) === saved;
      if (!allNew) await client.query(refuseOtherSources, [attempt.batchId]);
      await client.query(attachArtifacts, [attempt.batchId]);
      if (!allNew) await client.query(refuseOtherArtifacts, [attempt.batchId]);
      await client.query(markAttached, [attempt.batchId]);
      await client.query(markKnown, [attempt.batchId]);
      return attempt.tally(client);
    });
    metrics.contentsSaved.inc(saved);
    return tally;
  };

/** @returns how many were new */
async function insertContents(client: PoolClient, batchId: string, type: ContentType, units: number): Promise<number> {
  const names = type.columns.map(({ name }) => name).join(', ');
  const values = type.columns.map((column) => `${stagedValue(column)} as ${column.name}`).join(', ');
  const key = type.naturalKey.map(({ name }) => name).join(', ');
  // In the order of the natural key: another sync that saves the same contents waits, and never in a circle.
  const { rowCount } = await client.query(
    `with fresh as (
       select distinct on (${stagedKey(type)}) unit.content_id, ${values}
         from whole_units unit where unit.batch_id = $1 and unit.type = $2 and not unit.known
        order by ${stagedKey(type)}, unit.content_id
     ), saved as (
       insert into ${type.table} (content_id, ${names})
       select content_id, ${names} from fresh order by ${key}
       on conflict do nothing
       returning content_id
     )
     insert into contents (id, type) select content_id, $2 from saved`,
    [batchId, type.name],
  );
  if (rowCount === units) return units;
  // Saved meanwhile by another sync, or by another batch of this one: theirs is the row.
  await client.query(
    `update staged_units unit set content_id = existing.content_id
       from ${type.table} existing
      where unit.batch_id = $1 and unit.type = $2 and not unit.known and ${sameNaturalKey(type, 'existing')}
        and unit.content_id <> existing.content_id`,
    [batchId, type.name],
  );
  return rowCount ?? 0;
}

const attachArtifacts = `
  insert into content_artifacts (content_id, artifact_id, relative_path)
  select distinct on (unit.content_id, staged.relative_path) unit.content_id, staged.artifact_id, staged.relative_path
    from whole_units unit
    join staged_artifacts staged on staged.unit_id = unit.id
   where unit.batch_id = $1 and not staged.attached
   order by unit.content_id, staged.relative_path, staged.artifact_id nulls last
  on conflict (content_id, relative_path) do update set artifact_id = excluded.artifact_id
   where content_artifacts.artifact_id is null and excluded.artifact_id is not null`;

const otherDigests = digestNames.filter((name) => name !== 'sha256');

/** Refuses units whose file differs from the one that their content has, by one of the digests that are known of both. */
function refuseOther(files: string): string {
  return `
  update staged_units unit
     set outcome = 'refused',
         error = jsonb_build_object(
           'type', 'ContentArtifactConflict',
           'message', format('%s has the file "%s" with %s %s already; this one has %s. Content never changes: upstream has to give it another natural key.',
                             unit.type, other.relative_path, other.name, other.saved, other.declared),
           'path', other.relative_path, 'expected', other.saved, 'found', other.declared, 'transient', false)
    from (select unit.id as unit_id, staged.relative_path, differing.name, differing.saved, differing.declared
            from whole_units unit
            join staged_artifacts staged on staged.unit_id = unit.id and not staged.attached
            join content_artifacts attached
              on attached.content_id = unit.content_id and attached.relative_path = staged.relative_path
            ${files}
            left join artifacts mine on mine.id = staged.artifact_id
           cross join lateral (
             select name, saved, declared
               from (values ('sha256', file.sha256, coalesce(mine.sha256, staged.sha256)),
                            ${otherDigests.map((name) => `('${name}', file.${name}, staged.${name})`).join(', ')})
                    as digest (name, saved, declared)
              where saved <> declared limit 1) differing
           where unit.batch_id = $1) other
   where unit.id = other.unit_id`;
}

/** Before files are attached: what is deferred still has the digests that were declared of it. */
const refuseOtherSources = refuseOther(
  'join remote_artifacts file on file.content_artifact_id = attached.id and attached.artifact_id is null',
);

/** After it: whoever came first has attached the file. */
const refuseOtherArtifacts = refuseOther(
  'join artifacts file on file.id = attached.artifact_id and attached.artifact_id is distinct from staged.artifact_id',
);

const markAttached = `
  update staged_artifacts staged set attached = true
    from whole_units unit
   where unit.batch_id = $1 and staged.unit_id = unit.id and not staged.attached`;

const markKnown = `
  update staged_units unit set known = true
    from whole_units whole
   where whole.batch_id = $1 and unit.id = whole.id and not unit.known`;
