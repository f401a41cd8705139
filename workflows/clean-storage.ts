import { continueAsNew, proxyActivities } from '@temporalio/workflow';

import type { Activities } from '../activities';
import type { CleaningRequest } from '../activities/clean-storage';
import type { CleaningProgress } from '../src/cleaning/cleaning';
import { activityOptions } from './activity-options';
import { describeCleaning } from './descriptions';
import { maintain } from './maintain';
import type { CarriedMaintenance } from './maintain';

/** What a cleaning is started with. */
export interface CleanStorageInput extends CleaningRequest {
  readonly continueAsNewAfter?: number;
  readonly carried?: CarriedMaintenance;
}

const { openCleaning, cleanBatch, endCleaning } = proxyActivities<Activities>(activityOptions);

/** Removes content, artifacts, staging and files that nobody uses; a dry run counts them. */
export async function cleanStorage(input: CleanStorageInput): Promise<CleaningProgress> {
  const { protectionSeconds, dryRun, continueAsNewAfter, carried } = input;
  const what = dryRun ? 'look for what nobody uses' : 'remove what nobody uses';
  const ended = await maintain<CleaningProgress>({
    name: 'cleaning',
    carried,
    continueAsNewAfter,
    open: async () => (await openCleaning({ protectionSeconds, dryRun })).cleaningId,
    batch: (cleaningId) => cleanBatch.executeWithOptions({ summary: what }, [{ cleaningId }]),
    isOver: ({ phase }) => phase === 'over',
    describe: describeCleaning,
    end: endCleaning,
  });
  if ('result' in ended) return ended.result;
  return continueAsNew<typeof cleanStorage>({ ...input, carried: ended.carried });
}
