import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';

import { WorkflowNotFoundError } from '@temporalio/client';
import type { Client } from '@temporalio/client';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils';

import { PenstockError, asError } from '../errors';
import { syncWorkflowType, workflowIdOf } from '../syncs/sync-workflow';
import { WrongUsage } from './exit-status';

type History = ReturnType<typeof historyFromJSON>;

/** A history and what to call it. */
export interface RecordedHistory {
  /** The file, or the workflow and its run. */
  readonly name: string;
  readonly workflowId: string;
  readonly history: History;
}

/** There is no such history. */
export class HistoryNotFound extends PenstockError {}

/** Histories as Temporal's command line and Web UI write them. @throws {@link WrongUsage} naming the file. */
export async function* historiesOfFiles(files: readonly string[]): AsyncGenerator<RecordedHistory> {
  for (const file of files) {
    let history: History;
    try {
      history = historyFromJSON(JSON.parse(await readFile(file, 'utf8')));
    } catch (error) {
      throw new WrongUsage(`${file} cannot be read as a history (${asError(error).message}).`, { path: file });
    }
    const started = history.events?.[0]?.workflowExecutionStartedEventAttributes;
    if (!started) {
      throw new WrongUsage(`${file} is not a history: its first event is not the start of a workflow.`, { path: file });
    }
    yield { name: file, workflowId: started.workflowId ?? basename(file, '.json'), history };
  }
}

/** The newest run of a workflow, by its id or by its repository. @throws {@link HistoryNotFound} */
export async function* newestHistory(client: Client, workflow: string): AsyncGenerator<RecordedHistory> {
  const ids = workflow.startsWith(workflowIdOf('')) ? [workflow] : [workflowIdOf(workflow), workflow];
  for (const workflowId of ids) {
    try {
      const handle = client.workflow.getHandle(workflowId);
      const { runId } = await handle.describe();
      yield { name: `${workflowId} ${runId}`, workflowId, history: await handle.fetchHistory() };
      return;
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  }
  throw new HistoryNotFound(`Temporal knows no workflow ${ids.join(' or ')}.`, { found: workflow });
}

/** The last syncs that are over, fetched one after the other. */
export async function* lastHistories(client: Client, count: number): AsyncGenerator<RecordedHistory> {
  const query = `WorkflowType = "${syncWorkflowType}" and ExecutionStatus != "Running"`;
  let left = count;
  for await (const { workflowId, runId } of client.workflow.list({ query, pageSize: Math.min(count, 100) })) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    yield { name: `${workflowId} ${runId}`, workflowId, history };
    left -= 1;
    if (left === 0) return;
  }
}
