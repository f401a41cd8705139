import type { Client } from '@temporalio/client';
import { ServiceError, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { NamespaceNotFoundError } from '@temporalio/common';

import { displayTarget } from '../downloads/display-url';
import { asError } from '../errors';
import { CannotSync } from '../models/sync-errors';
import { findRepository } from '../repositories/repositories';
import { SyncAlreadyRunning, TemporalNotSetUp } from './errors';
import { findRunning, syncWorkflowType, workflowIdOf } from './sync-workflow';
import type { SyncExecution, SyncRequest, SyncWorkflow } from './sync-workflow';

/** Bytes of a summary: Temporal's server refuses a payload of more than 400, and the text is not all of a payload. */
const summaryBytes = 350;

/** What starts syncs. */
export interface SyncStarter {
  readonly client: Client;
  readonly taskQueue: string;
}

/**
 * Starts the sync of a repository.
 *
 * @throws {@link RepositoryNotFound}, {@link CannotSync}, {@link TemporalNotSetUp}, and {@link SyncAlreadyRunning} where one runs.
 */
export async function startSync({ client, taskQueue }: SyncStarter, request: SyncRequest): Promise<SyncExecution> {
  const { repository, mode } = request;
  const { remote } = await findRepository(repository);
  if (!remote) {
    throw new CannotSync(
      `Repository "${repository}" has no remote. Give it one: penstock repository update ${repository} --remote NAME`,
      { repository },
    );
  }
  const workflowId = workflowIdOf(repository);
  const startedAt = new Date();
  try {
    const handle = await client.workflow.start<SyncWorkflow>(syncWorkflowType, {
      workflowId,
      taskQueue,
      args: [request],
      workflowIdConflictPolicy: 'FAIL',
      staticSummary: cutToBytes(`${repository} from ${remote.name} · ${remote.policy} · ${mode}`, summaryBytes),
      staticDetails: `Syncs the ${remote.type} repository **${repository}** from ${displayTarget(new URL(remote.url))}`,
      typedSearchAttributes: [
        { key: { name: 'PenstockRepository', type: 'KEYWORD' }, value: repository },
        { key: { name: 'PenstockStage', type: 'KEYWORD' }, value: 'opening' },
      ],
    });
    const runId = handle.firstExecutionRunId;
    return { workflowId, runId, currentRunId: runId, startedAt };
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) throw await alreadyRunning(client, repository);
    throw setUpFault(client, error) ?? error;
  }
}

/**
 * Looks for a sync that runs already, before anything is changed for one that could not start then.
 *
 * @throws {@link TemporalNotSetUp}
 */
export async function findRunningSync(client: Client, repository: string): Promise<SyncExecution | undefined> {
  try {
    return await findRunning(client, repository);
  } catch (error) {
    throw setUpFault(client, error) ?? error;
  }
}

/** Starts the sync of a repository, or attaches to the one that runs. */
export async function startOrAttach(
  starter: SyncStarter,
  request: SyncRequest,
): Promise<SyncExecution & { readonly attached: boolean }> {
  for (;;) {
    const running = await findRunning(starter.client, request.repository);
    if (running) return { ...running, attached: true };
    try {
      return { ...(await startSync(starter, request)), attached: false };
    } catch (error) {
      // Somebody was faster: attach to theirs.
      if (!(error instanceof SyncAlreadyRunning)) throw error;
    }
  }
}

async function alreadyRunning(client: Client, repository: string): Promise<SyncAlreadyRunning> {
  const running = await findRunning(client, repository);
  return new SyncAlreadyRunning(repository, running ?? { workflowId: workflowIdOf(repository) });
}

/** The beginning of a text, of so many bytes of UTF-8 at most, and with whole characters only. */
export function cutToBytes(text: string, most: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= most) return text;
  // A byte 10xxxxxx goes on with the character before it (RFC 3629, section 3).
  let end = most;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}

/** gRPC status codes. */
const invalidArgument = 3;
const notFound = 5;

function setUpFault({ options }: Client, error: unknown): TemporalNotSetUp | undefined {
  if (error instanceof NamespaceNotFoundError) return noNamespace(options.namespace, error);
  if (!(error instanceof ServiceError)) return undefined;
  const cause = error.cause as { readonly code?: number; readonly details?: string } | undefined;
  const said = cause?.details ?? asError(error).message;
  if (cause?.code === notFound) return noNamespace(options.namespace, error, said);
  if (cause?.code === invalidArgument && /search attribute/i.test(said)) {
    return new TemporalNotSetUp(
      `Temporal does not know the search attributes of a sync (${said}). Register them: penstock migrate`,
      {},
      { cause: error },
    );
  }
  return undefined;
}

function noNamespace(namespace: string, error: Error, said = error.message): TemporalNotSetUp {
  return new TemporalNotSetUp(
    `Temporal has no namespace "${namespace}" (${said}). Create it, or set TEMPORAL_NAMESPACE to another one.`,
    { found: namespace },
    { cause: error },
  );
}
