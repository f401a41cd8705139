import type { Client, WorkflowHandle } from '@temporalio/client';
import {
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';

import { changeLimits, pause, resume, retryFailures } from '../../workflows/messages';
import type { SyncLimits } from '../models/sync-models';
import { findRepository } from '../repositories/repositories';
import { NoWorkerAnswers, NotSyncing, UpdateRefused, quoted } from './errors';
import { findRunning, handleOf } from './sync-workflow';
import type { SyncExecution } from './sync-workflow';

/** Milliseconds that a worker has to answer. */
const patience = 30_000;

/**
 * Asks the sync of a repository to come to rest and to start nothing more.
 *
 * @throws {@link RepositoryNotFound}, {@link NotSyncing}, {@link UpdateRefused}, {@link NoWorkerAnswers}
 */
export async function pauseSync(client: Client, repository: string, reason: string): Promise<SyncExecution> {
  return update(client, repository, (handle) => handle.executeUpdate(pause, { args: [{ reason }] }));
}

/** Lets a paused sync go on. @throws as {@link pauseSync} */
export async function resumeSync(client: Client, repository: string): Promise<SyncExecution> {
  return update(client, repository, (handle) => handle.executeUpdate(resume));
}

/** Changes what a sync that runs may ask of upstream, until it ends; only what is given. @throws as {@link pauseSync} */
export async function limitSync(
  client: Client,
  repository: string,
  limits: Partial<SyncLimits>,
): Promise<SyncExecution & { readonly limits: SyncLimits }> {
  let changed: SyncLimits | undefined;
  const execution = await update(client, repository, async (handle) => {
    changed = await handle.executeUpdate(changeLimits, { args: [limits] });
  });
  if (!changed) throw new Error('an update that succeeded has a result');
  return { ...execution, limits: changed };
}

/** Lets a sync that runs try again what it could not have so far. @throws as {@link pauseSync} */
export async function retryInSync(client: Client, repository: string): Promise<SyncExecution> {
  return update(client, repository, (handle) => handle.executeUpdate(retryFailures));
}

async function update(
  client: Client,
  repository: string,
  send: (handle: WorkflowHandle) => Promise<unknown>,
): Promise<SyncExecution> {
  await findRepository(repository);
  const running = await findRunning(client, repository);
  if (!running) throw notSyncing(repository);
  try {
    await client.withDeadline(Date.now() + patience, () => send(handleOf(client, running)));
    return running;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) throw notSyncing(repository);
    if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) throw new NoWorkerAnswers(repository, patience);
    const refused = error instanceof WorkflowUpdateFailedError ? error.cause : undefined;
    if (refused instanceof ApplicationFailure) {
      throw new UpdateRefused(`Repository "${repository}": ${refused.message}`, { repository });
    }
    throw error;
  }
}

function notSyncing(repository: string): NotSyncing {
  return new NotSyncing(
    `Repository "${repository}" is not being synced. Sync it: penstock sync ${quoted(repository)}`,
    {
      repository,
    },
  );
}
