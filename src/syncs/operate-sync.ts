import type { Client, WorkflowHandle } from '@temporalio/client';

import { changeLimits, pause, resume, retryFailures } from '../../workflows/messages';
import type { SyncLimits } from '../models/sync-models';
import { findRepository } from '../repositories/repositories';
import { askWorkflow, patience } from './ask-workflow';
import { NoWorkerAnswers, NotSyncing, UpdateRefused, quoted } from './errors';
import { findRunning, handleOf } from './sync-workflow';
import type { SyncExecution } from './sync-workflow';

/**
 * Asks the sync of a repository to come to rest and to start nothing more.
 *
 * @returns also why it is paused: somebody else may have paused it before
 * @throws {@link RepositoryNotFound}, {@link NotSyncing}, {@link UpdateRefused}, {@link NoWorkerAnswers}
 */
export async function pauseSync(
  client: Client,
  repository: string,
  reason: string,
): Promise<SyncExecution & { readonly reason: string }> {
  const { execution, result } = await update(client, repository, (handle) =>
    handle.executeUpdate(pause, { args: [{ reason }] }),
  );
  return { ...execution, reason: result };
}

/** Lets a paused sync go on. @throws as {@link pauseSync} */
export async function resumeSync(client: Client, repository: string): Promise<SyncExecution> {
  return (await update(client, repository, (handle) => handle.executeUpdate(resume))).execution;
}

/** Changes what a sync that runs may ask of upstream, until it ends; only what is given. @throws as {@link pauseSync} */
export async function limitSync(
  client: Client,
  repository: string,
  limits: Partial<SyncLimits>,
): Promise<SyncExecution & { readonly limits: SyncLimits }> {
  const { execution, result } = await update(client, repository, (handle) =>
    handle.executeUpdate(changeLimits, { args: [limits] }),
  );
  return { ...execution, limits: result };
}

/** Lets a sync that runs try again what it could not have so far. @throws as {@link pauseSync} */
export async function retryInSync(client: Client, repository: string): Promise<SyncExecution> {
  return (await update(client, repository, (handle) => handle.executeUpdate(retryFailures))).execution;
}

async function update<Result>(
  client: Client,
  repository: string,
  send: (handle: WorkflowHandle) => Promise<Result>,
): Promise<{ readonly execution: SyncExecution; readonly result: Result }> {
  await findRepository(repository);
  const execution = await findRunning(client, repository);
  if (!execution) throw notSyncing(repository);
  const answer = await askWorkflow(client, handleOf(client, execution), send);
  switch (answer.kind) {
    case 'done':
      return { execution, result: answer.result };
    case 'refused':
      throw new UpdateRefused(`Repository "${repository}": ${answer.message}`, { repository });
    case 'ended':
      throw notSyncing(repository);
    case 'unanswered':
      throw new NoWorkerAnswers(repository, patience);
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
