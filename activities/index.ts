import { associateContents } from './associate-contents';
import { cleanBatch, endCleaning, openCleaning } from './clean-storage';
import { closeSync } from './close-sync';
import { completeVersion } from './complete-version';
import type { ActivityDependencies } from './dependencies';
import { discoverContents } from './discover-contents';
import { downloadArtifacts } from './download-artifacts';
import { downloadBatch, endDownload, openDownload } from './download-version';
import { noteSync } from './note-sync';
import { openVersion } from './open-version';
import { ownStageActivities } from './own-stage';
import { queryExistingArtifacts } from './query-existing-artifacts';
import { queryExistingContents } from './query-existing-contents';
import { endReclaim, openReclaim, reclaimBatch } from './reclaim-storage';
import { endRefresh, openRefresh, refreshBatch } from './refresh-alternate';
import { reopenFailures } from './reopen-failures';
import { endRepair, openRepair, repairBatch } from './repair-artifacts';
import { resolveContentFutures } from './resolve-content-futures';
import { saveArtifacts } from './save-artifacts';
import { saveContents } from './save-contents';
import { saveRemoteArtifacts } from './save-remote-artifacts';

export type { ActivityDependencies } from './dependencies';

/** The stages in the order in which the standard pipeline runs them, between those that begin and end a sync; then maintenance. */
export function createActivities(dependencies: ActivityDependencies) {
  return {
    openVersion: openVersion(dependencies),
    discoverContents: discoverContents(dependencies),

    queryExistingContents: queryExistingContents(dependencies),
    queryExistingArtifacts: queryExistingArtifacts(dependencies),
    downloadArtifacts: downloadArtifacts(dependencies),
    saveArtifacts: saveArtifacts(dependencies),
    saveContents: saveContents(dependencies),
    saveRemoteArtifacts: saveRemoteArtifacts(dependencies),
    resolveContentFutures: resolveContentFutures(dependencies),
    associateContents: associateContents(dependencies),
    ...ownStageActivities(dependencies),

    noteSync: noteSync(dependencies),
    reopenFailures: reopenFailures(dependencies),
    completeVersion: completeVersion(dependencies),
    closeSync: closeSync(dependencies),

    openRepair: openRepair(dependencies),
    repairBatch: repairBatch(dependencies),
    endRepair: endRepair(dependencies),
    openCleaning: openCleaning(dependencies),
    cleanBatch: cleanBatch(dependencies),
    endCleaning: endCleaning(dependencies),
    openDownload: openDownload(dependencies),
    downloadBatch: downloadBatch(dependencies),
    endDownload: endDownload(dependencies),
    openReclaim: openReclaim(dependencies),
    reclaimBatch: reclaimBatch(dependencies),
    endReclaim: endReclaim(dependencies),
    openRefresh: openRefresh(dependencies),
    refreshBatch: refreshBatch(dependencies),
    endRefresh: endRefresh(dependencies),
  };
}

/** What the workflow calls. Stages are called by the names in the plan that `openVersion` returns. */
export type Activities = ReturnType<typeof createActivities>;
