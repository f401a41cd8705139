import type { PoolClient } from 'pg';

import { digestNames } from '../src/downloads/digests';
import type { ContentType } from '../src/plugins/content-type';
import { sameNaturalKey, stagedKey } from '../src/staging/content-sql';
import type { ActivityDependencies } from './dependencies';
import { findLost, forgetLost } from './lost-artifacts';
import type { StoredRow } from './lost-artifacts';
import { StageAttempt } from './stage';
import type { BatchTally, StageInput } from './stage';

/**
 * Finds the contents of the batch that are saved already, by type and natural key, with their artifacts: what is complete
 * skips the stages that follow. The same content twice in the batch becomes one.
 */
export const queryExistingContents =
  ({ database, storage, plugins }: ActivityDependencies) =>
  async (input: StageInput): Promise<BatchTally> => {
    const attempt = await StageAttempt.begin(database.pool, input);
    const attached = await attempt.transaction(async (client) => {
      const { rows: types } = await client.query<{ type: string; plugin: string }>(
        `select distinct unit.type, repository.type as plugin
           from staged_units unit, syncs sync join repositories repository on repository.id = sync.repository_id
          where unit.batch_id = $1 and sync.id = $2 order by unit.type`,
        [attempt.batchId, input.syncId],
      );
      for (const { type, plugin } of types)
        await takeKnownContents(client, attempt.batchId, plugins.get(plugin).content(type));
      const { rows: known } = await client.query<StoredRow>(takeAttachedArtifacts, [attempt.batchId, input.syncId]);
      const { rows: downloaded } = await client.query<StoredRow>(downloadedBefore, [attempt.batchId]);
      return [...known, ...downloaded];
    });
    const lost = await findLost(storage, attached);
    return attempt.transaction(async (client) => {
      await forgetLost(client, attempt.batchId, lost);
      return attempt.tally(client);
    });
  };

async function takeKnownContents(client: PoolClient, batchId: string, type: ContentType): Promise<void> {
  // A thousand look-ups in the unique index of the natural key.
  await client.query(
    `update staged_units unit set content_id = existing.content_id, known = true
       from ${type.table} existing
      where unit.batch_id = $1 and unit.type = $2 and not unit.known and ${sameNaturalKey(type, 'existing')}`,
    [batchId, type.name],
  );
  // The same content several times in one batch takes the lowest of its ids.
  await client.query(
    `with same as materialized (
       select id, content_id, min(content_id) over (partition by ${stagedKey(type)}) as first_id
         from staged_units unit where batch_id = $1 and type = $2 and not known
     )
     update staged_units unit set content_id = same.first_id
       from same
      where unit.id = same.id and same.content_id <> same.first_id`,
    [batchId, type.name],
  );
}

/**
 * The set: files of known contents that have a content artifact. An artifact with other digests than were declared is not
 * taken; saving the content will refuse it. Nor is one of another size: its download will say which size it has.
 */
const takeAttachedArtifacts = `
  update staged_artifacts staged
     set artifact_id = coalesce(staged.artifact_id, attached.artifact_id), attached = true, error = null,
         sourced = exists (select from remote_artifacts source
                            where source.content_artifact_id = attached.id and source.remote_id = attached.remote_id
                              and source.urls = staged.urls)
    from (select unit.id as unit_id, content_artifact.id, content_artifact.relative_path, content_artifact.artifact_id,
                 ${digestNames.map((name) => `artifact.${name}`).join(', ')}, artifact.size, sync.remote_id
            from staged_units unit
            join content_artifacts content_artifact on content_artifact.content_id = unit.content_id
            left join artifacts artifact on artifact.id = content_artifact.artifact_id
            join syncs sync on sync.id = $2
           where unit.batch_id = $1 and unit.known and unit.outcome is null) attached
   where staged.unit_id = attached.unit_id and staged.relative_path = attached.relative_path
     and (staged.artifact_id is null or staged.artifact_id = attached.artifact_id)
     and ${digestNames.map((name) => `(attached.${name} is null or staged.${name} is null or staged.${name} = attached.${name})`).join('\n     and ')}
     and (attached.artifact_id is not null
          or not exists (select from remote_artifacts source
                          where source.content_artifact_id = attached.id
                            and (${digestNames.map((name) => `source.${name} <> staged.${name}`).join(' or ')})))
     and (attached.size is null or staged.size is null or staged.size = attached.size)
  returning attached.sha256, attached.size::float8 as size`;

/** What an interrupted sync has downloaded and not saved yet: a power failure may have taken the files. */
const downloadedBefore = `
  select stored_sha256 as sha256, stored_size::float8 as size
    from staged_artifacts where batch_id = $1 and stored_sha256 is not null and artifact_id is null`;
