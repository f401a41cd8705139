import type { WorkerDeploymentVersion } from '@temporalio/common';

import { hasCurrentVersion, setCurrentCommand } from '../deployment';
import type { SyncExecution } from '../syncs/sync-workflow';
import type { Output } from './output';
import type { Session } from './session';

/** Where Temporal's Web UI shows a sync; null where the address of the Web UI is not known. */
export function webUiOf(
  { addresses, connected }: Pick<Session, 'addresses' | 'connected'>,
  { workflowId, runId }: Pick<SyncExecution, 'workflowId' | 'runId'>,
): string | null {
  if (!addresses.uiAddress) return null;
  const namespace = connected?.options.namespace ?? 'default';
  return `${addresses.uiAddress}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(workflowId)}/${runId}`;
}

/** The version that a worker is, and how new syncs come to it. */
export function describeVersion(version: WorkerDeploymentVersion): string {
  return `It is version ${version.buildId} of deployment ${version.deploymentName}. To send new syncs to it: ${setCurrentCommand(version)}`;
}

/** Says that workers of a deployment get no syncs, where none of its versions was made current. */
export async function warnWithoutVersion({ client, settings }: Session, output: Output): Promise<void> {
  const { versioning } = settings;
  if (!versioning || (await hasCurrentVersion(client, versioning.deploymentName))) return;
  const version = { buildId: 'ID', ...versioning };
  output.warn(
    `Deployment ${versioning.deploymentName} has no current version, so syncs wait until one is made current: ${setCurrentCommand(version)}`,
  );
}

/** Says that nobody works on what was started, as far as Temporal knows. */
export async function warnWithoutWorker(session: Session, output: Output): Promise<void> {
  const { client, settings } = session;
  await warnWithoutVersion(session, output);
  const described = await client.workflowService
    .describeTaskQueue({
      namespace: client.options.namespace,
      taskQueue: { name: settings.taskQueue },
    })
    .catch(() => undefined);
  if (!described?.pollers || described.pollers.length > 0) return;
  output.note(
    `No worker polls task queue ${settings.taskQueue}: the sync waits for one. Start it with "penstock worker".`,
  );
}
