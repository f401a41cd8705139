import type { WorkflowHandle } from '@temporalio/client';
import { WorkflowFailedError } from '@temporalio/client';
import { ActivityFailure, ApplicationFailure } from '@temporalio/common';

import { createAlternate } from '../../src/alternates/alternates';
import type { RefreshProgress } from '../../src/alternates/refreshes';
import { openSecretBox } from '../../src/models/remote-secrets';
import { createRemote } from '../../src/repositories/remotes';
import type { RemoteChanges } from '../../src/repositories/remote-fields';
import { createRepository } from '../../src/repositories/repositories';
import type { RefreshAlternateContentSourceInput } from '../../workflows/refresh-alternate-content-source';
import type { FileRepository } from '../harness/file-repository';
import type { Penstock } from '../harness/penstock';

/** A remote with secrets, if there are any; the server answers to these credentials only. */
export async function addRemote(
  { database, plugins, settings }: Penstock,
  name: string,
  server: FileRepository,
  { type = 'file', url = server.url, ...fields }: RemoteChanges & { readonly type?: string } = {},
): Promise<void> {
  const store = { database, plugins, secrets: () => openSecretBox(settings) };
  await createRemote(store, { maxRetries: 0, ...fields, name, type, url });
  const { username, password } = fields;
  server.authorization = username ? `Basic ${btoa(`${username}:${password ?? ''}`)}` : undefined;
}

/** A repository with a remote of the same name. */
export async function addOriginal(
  penstock: Penstock,
  name: string,
  server: FileRepository,
  fields: RemoteChanges & { readonly type?: string } = {},
): Promise<void> {
  await addRemote(penstock, name, server, fields);
  await createRepository(penstock, { name, type: fields.type ?? 'file', remote: name });
}

/** An alternate content source with a remote of the same name. */
export async function addAlternate(
  penstock: Penstock,
  name: string,
  server: FileRepository,
  fields: RemoteChanges & { readonly type?: string; readonly paths?: readonly string[] } = {},
): Promise<void> {
  const { paths = [], ...remote } = fields;
  await addRemote(penstock, name, server, remote);
  await createAlternate(penstock.database.pool, { name, remote: name, paths });
}

export async function startRefresh(
  { client, settings }: Penstock,
  alternate: string,
  options: Partial<RefreshAlternateContentSourceInput> = {},
): Promise<WorkflowHandle> {
  return client.workflow.start('refreshAlternateContentSource', {
    workflowId: `refresh/${settings.taskQueue}/${alternate}`,
    taskQueue: settings.taskQueue,
    args: [{ alternate, ...options }],
  });
}

/** Refreshes, and returns what that has come to. */
export async function refresh(penstock: Penstock, alternate: string): Promise<Omit<RefreshProgress, 'refreshId'>> {
  const handle = await startRefresh(penstock, alternate);
  const { over, paths, read, artifacts, withoutSha256, unexplored } = (await handle.result()) as RefreshProgress;
  return { over, paths, read, artifacts, withoutSha256, unexplored };
}

/** What a refresh fails with. */
export async function failureOf(refreshing: Promise<unknown>): Promise<ApplicationFailure> {
  const error: unknown = await refreshing.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  const activity = error instanceof WorkflowFailedError ? error.cause : undefined;
  const failure = activity instanceof ActivityFailure ? activity.cause : activity;
  if (failure instanceof ApplicationFailure) return failure;
  throw new Error('The refresh has not failed.', { cause: error });
}
