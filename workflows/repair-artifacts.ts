import { continueAsNew, proxyActivities } from '@temporalio/workflow';

import type { Activities } from '../activities';
import type { RepairRequest } from '../activities/repair-artifacts';
import type { RepairProgress } from '../src/repairing/repair';
import { activityOptions } from './activity-options';
import { describeRepair } from './descriptions';
import { maintain } from './maintain';
import type { CarriedMaintenance } from './maintain';

/** What a repair is started with. */
export interface RepairArtifactsInput extends RepairRequest {
  readonly continueAsNewAfter?: number;
  readonly carried?: CarriedMaintenance;
}

const { openRepair, repairBatch, endRepair } = proxyActivities<Activities>(activityOptions);

/**
 * Looks at stored artifacts, batch by batch, and downloads again what is lost or rotten. Whatever interrupts it, the next
 * repair of the same goes on from there.
 */
export async function repairArtifacts(input: RepairArtifactsInput): Promise<RepairProgress> {
  const { repository, missingOnly, restart, continueAsNewAfter, carried } = input;
  const summary = missingOnly ? 'look for lost artifacts' : 'read artifacts';
  const ended = await maintain<RepairProgress>({
    name: 'repair',
    carried,
    continueAsNewAfter,
    open: async () => (await openRepair({ repository, missingOnly, restart })).repairId,
    batch: (repairId) => repairBatch.executeWithOptions({ summary }, [{ repairId }]),
    isOver: ({ over }) => over,
    describe: describeRepair,
    end: endRepair,
  });
  if ('result' in ended) return ended.result;
  return continueAsNew<typeof repairArtifacts>({ ...input, carried: ended.carried });
}
