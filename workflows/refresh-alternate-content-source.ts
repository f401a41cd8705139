import { continueAsNew, proxyActivities } from '@temporalio/workflow';

import type { Activities } from '../activities';
import type { RefreshRequest } from '../activities/refresh-alternate';
import type { RefreshProgress } from '../src/alternates/refreshes';
import { activityOptions } from './activity-options';
import { describeRefresh } from './descriptions';
import { maintain } from './maintain';
import type { CarriedMaintenance } from './maintain';

/** What a refresh is started with. */
export interface RefreshAlternateContentSourceInput extends RefreshRequest {
  readonly continueAsNewAfter?: number;
  readonly carried?: CarriedMaintenance;
}

const { openRefresh, refreshBatch, endRefresh } = proxyActivities<Activities>(activityOptions);

/** Finds out which files an alternate content source has. What was known before stays in use until all is found. */
export async function refreshAlternateContentSource(
  input: RefreshAlternateContentSourceInput,
): Promise<RefreshProgress> {
  const { alternate, continueAsNewAfter, carried } = input;
  const ended = await maintain<RefreshProgress>({
    name: 'refresh',
    carried,
    continueAsNewAfter,
    open: async () => (await openRefresh({ alternate })).refreshId,
    batch: (refreshId) => refreshBatch.executeWithOptions({ summary: `read what "${alternate}" has` }, [{ refreshId }]),
    isOver: ({ over }) => over,
    describe: describeRefresh,
    end: endRefresh,
  });
  if ('result' in ended) return ended.result;
  return continueAsNew<typeof refreshAlternateContentSource>({ ...input, carried: ended.carried });
}
