import { digestNames } from '../src/downloads/digests';
import type { ActivityDependencies } from './dependencies';
import { StageAttempt } from './stage';
import type { BatchTally, StageInput } from './stage';

/**
 * Gives each downloaded file its artifact: one row for a digest, also when the same file is twice in the batch or another
 * sync saves it now. The files are made durable first, so that no row outlives a power failure without its file.
 */
export const saveArtifacts =
  ({ database, storage }: ActivityDependencies) =>
  async (input: StageInput): Promise<BatchTally> => {
    const attempt = await StageAttempt.begin(database.pool, input);
    await storage.flush();
    return attempt.transaction(async (client) => {
      await client.query(insertArtifacts, [attempt.batchId]);
      await client.query(takeArtifacts, [attempt.batchId]);
      return attempt.tally(client);
    });
  };

const others = digestNames.filter((name) => name !== 'sha256');

/**
 * In the order of the digests: two syncs that save the same files wait for one another, and never in a circle. Declarations
 * may name other digests of one file, all of them found right: the row gathers them, to be found by any.
 */
const insertArtifacts = `
  insert into artifacts (sha256, sha512, sha384, sha224, sha1, md5, size)
  select stored_sha256, max(sha512), max(sha384), max(sha224), max(sha1), max(md5), max(stored_size)
    from staged_artifacts
   where batch_id = $1 and stored_sha256 is not null and artifact_id is null
   group by stored_sha256
   order by stored_sha256
  on conflict (sha256) do update
     set ${others.map((name) => `${name} = coalesce(artifacts.${name}, excluded.${name})`).join(', ')}
   where ${others.map((name) => `(artifacts.${name} is null and excluded.${name} is not null)`).join(' or ')}`;

const takeArtifacts = `
  update staged_artifacts staged set artifact_id = artifact.id, attached = false
    from artifacts artifact
   where staged.batch_id = $1 and staged.stored_sha256 is not null and staged.artifact_id is null
     and artifact.sha256 = staged.stored_sha256`;
