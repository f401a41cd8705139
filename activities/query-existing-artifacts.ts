import { takeStoredArtifacts } from '../src/staging/take-stored-artifacts';
import { findLost, forgetLost } from '../src/staging/lost-artifacts';
import type { ActivityDependencies } from './dependencies';
import { StageAttempt } from './stage';
import type { BatchTally, StageInput } from './stage';

/**
 * Finds files that are stored already, by their digests; also deferred ones, so that on-demand content attaches at once to a
 * stored file.
 */
export const queryExistingArtifacts =
  ({ database, storage, settings }: ActivityDependencies) =>
  async (input: StageInput): Promise<BatchTally> => {
    const attempt = await StageAttempt.begin(database.pool, input);
    const found = await attempt.transaction((client) =>
      takeStoredArtifacts(client, attempt.batchId, settings.allowWeakDigests),
    );
    const lost = await findLost(storage, found);
    return attempt.transaction(async (client) => {
      await forgetLost(client, attempt.batchId, lost);
      return attempt.tally(client);
    });
  };
