import { continueAsNew, proxyActivities } from '@temporalio/workflow';

import type { Activities } from '../activities';
import type { ReclaimRequest } from '../activities/reclaim-storage';
import type { ReclaimProgress } from '../src/reclaiming/reclaim';
import { activityOptions } from './activity-options';
import { describeReclaim } from './descriptions';
import { maintain } from './maintain';
import type { CarriedMaintenance } from './maintain';

/** What a reclaim is started with. */
export interface ReclaimStorageInput extends ReclaimRequest {
  readonly continueAsNewAfter?: number;
  readonly carried?: CarriedMaintenance;
}

const { openReclaim, reclaimBatch, endReclaim } = proxyActivities<Activities>(activityOptions);

/** Turns stored files of a repository that can be fetched again into deferred ones; a dry run counts them. */
export async function reclaimStorage(input: ReclaimStorageInput): Promise<ReclaimProgress> {
  const { repository, keepVersions, dryRun, continueAsNewAfter, carried } = input;
  const summary = `${dryRun ? 'look for' : 'remove'} files of ${repository} that can be fetched again`;
  const ended = await maintain<ReclaimProgress>({
    name: 'reclaim',
    carried,
    continueAsNewAfter,
    open: async () => (await openReclaim({ repository, keepVersions, dryRun })).reclaimId,
    batch: (reclaimId) => reclaimBatch.executeWithOptions({ summary }, [{ reclaimId }]),
    isOver: ({ over }) => over,
    describe: describeReclaim,
    end: endReclaim,
  });
  if ('result' in ended) return ended.result;
  return continueAsNew<typeof reclaimStorage>({ ...input, carried: ended.carried });
}
