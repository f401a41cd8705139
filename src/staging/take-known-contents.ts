import type { PoolClient } from 'pg';

import { digestNames } from '../downloads/digests';
import type { ContentType } from '../plugins/content-type';
import type { StoredRow } from './lost-artifacts';
import { sameNaturalKey, stagedKey } from './content-sql';

/** Gives the units of a batch that are of one type the ids of the contents that are saved already, by their natural keys. */
export async function takeKnownContents(client: PoolClient, batchId: string, type: ContentType): Promise<void> {
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
 * Gives the files of a batch's known contents the artifacts that they have already.
 *
 * @returns what the database says is stored of them.
 */
export async function takeAttachedArtifacts(client: PoolClient, batchId: string, syncId: string): Promise<StoredRow[]> {
  const { rows } = await client.query<StoredRow>(attachedArtifacts, [batchId, syncId]);
  return rows;
}

/**
 * The set: files of known contents that have a content artifact. An artifact with other digests than were declared is not
 * taken; saving the content will refuse it. Nor is one of another size: its download will say which size it has.
 */
const attachedArtifacts = `
  update staged_artifacts staged
     set artifact_id = coalesce(staged.artifact_id, attached.artifact_id), attached = true, error = null,
         sourced = exists (select from remote_artifacts source
                            where source.content_artifact_id = attached.id and source.remote_id = attached.remote_id
                              and source.urls = staged.urls
                              and ${['size', ...digestNames].map((name) => `(staged.${name} is null or source.${name} = staged.${name})`).join(' and ')})
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
