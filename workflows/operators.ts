import { setHandler } from '@temporalio/workflow';

import type { SyncLimits } from '../src/models/sync-models';
import { changeLimits, retryFailures } from './messages';
import { hearPauses, refuseUnless } from './pauses';
import type { SyncState } from './sync-state';
import type { UpstreamRequests } from './upstream-requests';

/** Most requests at once that a remote may allow, as the schema has it. */
const mostConcurrency = 1000;

/** Lets operators pause a sync that runs, resume it, change its limits, and try again what has failed. */
export function hearOperators(state: SyncState, requests: UpstreamRequests): void {
  hearPauses(
    {
      name: 'sync',
      paused: () => state.paused,
      ending: () => state.ending,
      pause: (reason) => {
        requests.rest();
        return state.pause(reason);
      },
      resume: () => {
        state.resume();
        requests.begin();
      },
    },
    'Brings discovery and downloads to rest and starts nothing more.',
  );
  setHandler(
    changeLimits,
    (changes) => {
      const limits = state.changeLimits(changes);
      if (state.paused === undefined) {
        requests.rest();
        requests.begin();
      }
      return limits;
    },
    {
      description:
        'Changes how much may be asked of upstream, for this sync only. Argument: {"downloadConcurrency": 5, "rateLimit": 20}, or one of both; a rateLimit of null is none. Files that are downloading begin anew.',
      validator: (changes) => {
        refuseUnless(
          isLimits(changes),
          `Give downloadConcurrency (1 to ${mostConcurrency}), rateLimit (1 or more, or null), or both.`,
        );
        refuseUnless(!state.ending, 'The sync is about to end: it asks nothing of upstream any more.');
      },
    },
  );
  setHandler(
    retryFailures,
    () => {
      state.askForRetry();
    },
    {
      description: 'Tries again what could not be had so far.',
      validator: () => {
        refuseUnless(!state.ending, 'The sync is about to end. Sync again: that tries just what is missing.');
      },
    },
  );
}

function isLimits(changes: unknown): changes is Partial<SyncLimits> {
  if (typeof changes !== 'object' || changes === null) return false;
  const { downloadConcurrency, rateLimit, ...others } = changes as Readonly<Record<string, unknown>>;
  const anyGiven = downloadConcurrency !== undefined || rateLimit !== undefined;
  return (
    anyGiven &&
    Object.keys(others).length === 0 &&
    (downloadConcurrency === undefined || isWhole(downloadConcurrency, mostConcurrency)) &&
    (rateLimit === undefined || rateLimit === null || isWhole(rateLimit, 2 ** 31 - 1))
  );
}

function isWhole(value: unknown, most: number): boolean {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most;
}
