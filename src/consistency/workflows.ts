import type { Client } from '@temporalio/client';

import { asError } from '../errors';
import { quoted } from '../syncs/errors';
import { findRunningWorkflow } from '../syncs/sync-workflow';
import { pages } from './pages';
import { NotChecked } from './problem';
import type { CheckContext, Problem } from './problem';

interface RunningSync {
  readonly key: string;
  readonly repository: string;
  readonly workflowId: string;
  readonly runId: string;
}

/**
 * A sync that runs by its row has a workflow that runs. A workflow without a row is one that has not opened its version yet.
 *
 * @throws {@link NotChecked} where Temporal does not answer.
 */
export async function* checkWorkflows(context: CheckContext, tally: (syncs: number) => void): AsyncGenerator<Problem> {
  const { client, pool } = context;
  if (!client) throw notChecked('Temporal does not answer');
  for await (const page of pages<RunningSync>(context, runningSyncs)) {
    tally(page.length);
    for (const { key: sync, repository, workflowId, runId } of page) {
      if (await runs(client, workflowId)) continue;
      // It may have ended, or a new workflow may have taken it over, between the two questions.
      const { rowCount } = await pool.query(`select from syncs where id = $1 and state = 'running' and run_id = $2`, [
        sync,
        runId,
      ]);
      if (rowCount === 0) continue;
      yield {
        kind: 'syncWithoutWorkflow',
        message: `Sync ${sync} of repository "${repository}" is running by its row, and workflow ${workflowId} does not run: it was terminated, say.`,
        mend: `Go on with it: penstock sync ${quoted(repository)}; or throw it away: penstock sync discard ${quoted(repository)}`,
        ...{ repository, sync, expected: 'a workflow that runs', found: 'none' },
      };
    }
  }
}

const runningSyncs = `
  select sync.id as key, repository.name as repository, sync.workflow_id as "workflowId", sync.run_id as "runId"
    from syncs sync join repositories repository on repository.id = sync.repository_id
   where sync.state = 'running' and sync.id > $1 order by sync.id limit $2`;

async function runs(client: Client, workflowId: string): Promise<boolean> {
  try {
    return (await findRunningWorkflow(client, workflowId)) !== undefined;
  } catch (error) {
    throw notChecked(`Temporal does not say whether workflow ${workflowId} runs (${asError(error).message})`);
  }
}

function notChecked(why: string): NotChecked {
  return new NotChecked(
    `${why}, so it was not checked whether the syncs that are called running have a workflow. To check that, run "penstock up" or set TEMPORAL_ADDRESS, and run this again.`,
  );
}
