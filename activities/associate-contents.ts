import type { ActivityDependencies } from './dependencies';
import { StageAttempt } from './stage';
import type { BatchTally, StageInput } from './stage';

/** Adds the batch's saved contents to the version that was begun, where they are not in the repository already. */
export const associateContents =
  ({ database }: ActivityDependencies) =>
  async (input: StageInput): Promise<BatchTally> => {
    const attempt = await StageAttempt.begin(database.pool, input);
    return attempt.transaction(async (client) => {
      await client.query(insertRepositoryContents, [attempt.batchId, input.syncId]);
      await client.query(
        `update sync_batches
            set associated = (select count(*) from whole_units where batch_id = $1 and known)
          where id = $1`,
        [attempt.batchId],
      );
      return attempt.tally(client);
    });
  };

/** What the repository holds already stops at the partial unique index, so nothing is in a version twice. */
const insertRepositoryContents = `
  insert into repository_contents (repository_id, content_id, version_added)
  select distinct version.repository_id, unit.content_id, version.number
    from whole_units unit
    join syncs sync on sync.id = $2
    join repository_versions version on version.id = sync.version_id and not version.complete
   where unit.batch_id = $1 and unit.known
   order by unit.content_id
  on conflict do nothing`;
