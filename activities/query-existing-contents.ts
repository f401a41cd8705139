import { takeAttachedArtifacts, takeKnownContents } from '../src/staging/take-known-contents';
import type { ActivityDependencies } from './dependencies';
import { findLost, forgetLost } from '../src/staging/lost-artifacts';
import type { StoredRow } from '../src/staging/lost-artifacts';
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
      const known = await takeAttachedArtifacts(client, attempt.batchId, input.syncId);
      const { rows: downloaded } = await client.query<StoredRow>(downloadedBefore, [attempt.batchId]);
      return [...known, ...downloaded];
    });
    const lost = await findLost(storage, attached);
    return attempt.transaction(async (client) => {
      await forgetLost(client, attempt.batchId, lost);
      return attempt.tally(client);
    });
  };

/** What an interrupted sync has downloaded and not saved yet: a power failure may have taken the files. */
const downloadedBefore = `
  select stored_sha256 as sha256, stored_size::float8 as size
    from staged_artifacts where batch_id = $1 and stored_sha256 is not null and artifact_id is null`;
