import { ActivityFailure, ApplicationFailure } from '@temporalio/workflow';

import type { SyncFailure } from '../src/models/sync-models';

/** Why a workflow fails, as its row holds it. */
export function describeFailure(error: unknown): SyncFailure {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (!(cause instanceof ApplicationFailure)) {
    return { type: 'Error', message: cause instanceof Error ? cause.message : String(cause), transient: true };
  }
  const details = cause.details?.[0] as { readonly transient?: boolean } | undefined;
  return { type: cause.type ?? 'Error', message: cause.message, transient: details?.transient ?? false, details };
}
