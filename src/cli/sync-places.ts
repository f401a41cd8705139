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

/** Says that nobody works on what was started, as far as Temporal knows. */
export async function warnWithoutWorker({ client, settings }: Session, output: Output): Promise<void> {
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
