import { continueAsNew, proxyActivities } from '@temporalio/workflow';

import type { Activities } from '../activities';
import type { DownloadRequest } from '../activities/download-version';
import type { DownloadProgress } from '../src/fetching/version-download';
import { activityOptions } from './activity-options';
import { describeDownload } from './descriptions';
import { maintain } from './maintain';
import type { CarriedMaintenance } from './maintain';

/** What a download is started with. */
export interface DownloadVersionInput extends DownloadRequest {
  readonly continueAsNewAfter?: number;
  readonly carried?: CarriedMaintenance;
}

const { openDownload, downloadBatch, endDownload } = proxyActivities<Activities>(activityOptions);

/**
 * Fetches the files of a version that are deferred, batch by batch. Whatever interrupts it, the next download of the same goes
 * on from there.
 */
export async function downloadVersion(input: DownloadVersionInput): Promise<DownloadProgress> {
  const { repository, version, filters, continueAsNewAfter, carried } = input;
  const summary = `fetch deferred files of ${repository}`;
  const ended = await maintain<DownloadProgress>({
    name: 'download',
    carried,
    continueAsNewAfter,
    open: async () => (await openDownload({ repository, version, filters })).downloadId,
    batch: (downloadId) => downloadBatch.executeWithOptions({ summary }, [{ downloadId }]),
    isOver: ({ over }) => over,
    describe: describeDownload,
    end: endDownload,
  });
  if ('result' in ended) return ended.result;
  return continueAsNew<typeof downloadVersion>({ ...input, carried: ended.carried });
}
