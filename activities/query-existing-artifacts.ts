import { digestNames } from '../src/downloads/digests';
import type { DigestName } from '../src/downloads/digests';
import type { ActivityDependencies } from './dependencies';
import { findLost, forgetLost } from './lost-artifacts';
import type { StoredRow } from './lost-artifacts';
import { StageAttempt } from './stage';
import type { BatchTally, StageInput } from './stage';

/**
 * Finds files that are stored already, each by the first of its known digests in the order of {@link digestNames}; also
 * deferred ones, so that on-demand content attaches at once to a stored file. sha1 and md5 count only where they are allowed.
 */
export const queryExistingArtifacts =
  ({ database, storage, settings }: ActivityDependencies) =>
  async (input: StageInput): Promise<BatchTally> => {
    const attempt = await StageAttempt.begin(database.pool, input);
    const found = await attempt.transaction(async (client) => {
      const { rows } = await client.query<{ name: DigestName }>(firstKnownDigests, [attempt.batchId]);
      const names = digestNames.filter((name) => rows.some((row) => row.name === name));
      const trusted = names.filter((name) => settings.allowWeakDigests || (name !== 'sha1' && name !== 'md5'));
      const taken: StoredRow[] = [];
      for (const name of trusted) {
        taken.push(...(await client.query<StoredRow>(takeArtifactsBy(name), [attempt.batchId])).rows);
      }
      return taken;
    });
    const lost = await findLost(storage, found);
    return attempt.transaction(async (client) => {
      await forgetLost(client, attempt.batchId, lost);
      return attempt.tally(client);
    });
  };

const firstKnownDigests = `
  select distinct case ${digestNames.map((name) => `when ${name} is not null then '${name}'`).join(' ')} end as name
    from staged_artifacts where batch_id = $1 and artifact_id is null and stored_sha256 is null`;

function takeArtifactsBy(name: DigestName): string {
  const stronger = digestNames.slice(0, digestNames.indexOf(name));
  return `
    update staged_artifacts staged set artifact_id = artifact.id, attached = false, error = null
      from artifacts artifact
     where staged.batch_id = $1 and staged.artifact_id is null and staged.stored_sha256 is null
       and artifact.${name} = staged.${name}
       and (staged.size is null or staged.size = artifact.size)
       ${stronger.map((each) => `and staged.${each} is null`).join(' ')}
    returning artifact.sha256, artifact.size::float8 as size`;
}
