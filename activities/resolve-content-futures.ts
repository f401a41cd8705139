import { openDiscoveries } from '../src/staging/open-discoveries';
import { contentsResolved } from '../workflows/messages';
import { currentWorkflow } from './current-workflow';
import type { ActivityDependencies } from './dependencies';
import { StageAttempt } from './stage';
import type { BatchTally, StageInput } from './stage';

/**
 * Resolves the content futures of the batch: for each step that its saved contents wait for, one discovery that goes on
 * from all of them at once. The rows are the truth, and the signal wakes the workflow up. What failed keeps its future
 * open until it is saved; what was dropped resolves with nothing.
 */
export const resolveContentFutures =
  ({ database }: ActivityDependencies) =>
  async (input: StageInput): Promise<BatchTally> => {
    const attempt = await StageAttempt.begin(database.pool, input);
    const tally = await attempt.transaction(async (client) => {
      await openDiscoveries(client, attempt.batchId, input.syncId);
      return attempt.tally(client);
    });
    await currentWorkflow().handle.signal(contentsResolved, { syncId: input.syncId, discoveries: tally.discoveries });
    return tally;
  };
