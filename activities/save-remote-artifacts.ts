import { digestNames } from '../src/downloads/digests';
import type { ActivityDependencies } from './dependencies';
import { StageAttempt } from './stage';
import type { BatchTally, StageInput } from './stage';

/** Records where each file of the batch can be fetched: one remote artifact for each remote, with its newest urls. */
export const saveRemoteArtifacts =
  ({ database }: ActivityDependencies) =>
  async (input: StageInput): Promise<BatchTally> => {
    const attempt = await StageAttempt.begin(database.pool, input);
    return attempt.transaction(async (client) => {
      await client.query(upsertRemoteArtifacts, [attempt.batchId, input.syncId]);
      await client.query(markSourced, [attempt.batchId]);
      return attempt.tally(client);
    });
  };

const promises = ['size', ...digestNames];

/**
 * The set: the artifacts of the batch's saved units whose source is not recorded; ordered, so that no two syncs deadlock. What
 * was known of a file stays known where it is no longer declared, as the file of a content never changes.
 */
const upsertRemoteArtifacts = `
  insert into remote_artifacts (content_artifact_id, remote_id, urls, ${promises.join(', ')})
  select distinct on (attached.id) attached.id, sync.remote_id, staged.urls,
         ${promises.map((name) => `staged.${name}`).join(', ')}
    from whole_units unit
    join staged_artifacts staged on staged.unit_id = unit.id
    join content_artifacts attached
      on attached.content_id = unit.content_id and attached.relative_path = staged.relative_path
    join syncs sync on sync.id = $2
   where unit.batch_id = $1 and unit.known and not staged.sourced
   order by attached.id, unit.id
  on conflict (content_artifact_id, remote_id) do update
     set urls = excluded.urls, failed_until = null,
         ${promises.map((name) => `${name} = coalesce(excluded.${name}, remote_artifacts.${name})`).join(', ')}
   where remote_artifacts.urls <> excluded.urls
      or ${promises.map((name) => `remote_artifacts.${name} <> excluded.${name} or (remote_artifacts.${name} is null and excluded.${name} is not null)`).join('\n      or ')}`;

const markSourced = `
  update staged_artifacts staged set sourced = true
    from whole_units unit
   where unit.batch_id = $1 and unit.known and staged.unit_id = unit.id and not staged.sourced`;
