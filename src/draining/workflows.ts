import type { Client } from '@temporalio/client';
import type { Pool } from 'pg';

/** Where the workflows are that a drain pauses. */
export interface DrainPlace {
  readonly client: Client;
  readonly pool: Pool;
  readonly taskQueue: string;
}

/**
 * The workflows that run by their rows, and those of the task queue that Temporal lists: the former are there at once, of the latter
 * some have no row yet.
 */
export async function listWorkflows({ client, pool, taskQueue }: DrainPlace): Promise<Set<string>> {
  const { rows } = await pool.query<{ id: string }>(
    `select workflow_id as id from syncs where state = 'running'
     union select workflow_id from repairs where state = 'running'
     union select workflow_id from cleanings where state = 'running'
     union select workflow_id from downloads where state = 'running'
     union select workflow_id from reclaims where state = 'running'
     union select workflow_id from alternate_refreshes where state = 'running'`,
  );
  const ids = new Set(rows.map(({ id }) => id));
  const query = `TaskQueue = '${taskQueue.replaceAll("'", "''")}' and ExecutionStatus = 'Running'`;
  for await (const { workflowId } of client.workflow.list({ query })) ids.add(workflowId);
  return ids;
}
