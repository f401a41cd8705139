import type { PoolClient } from 'pg';

import { contentsResolved } from '../workflows/messages';
import { currentWorkflow } from './current-workflow';
import type { ActivityDependencies } from './dependencies';
import { StageAttempt } from './stage';
import type { BatchTally, StageInput } from './stage';

/**
 * Resolves the content futures of the batch: for each step that its saved contents wait for, one discovery that goes on
 * from all of them at once. The rows are the truth, and the signal wakes the workflow up. What failed keeps its future
 * open until it is saved; what was dropped resolves with nothing.
 */
export const resolveContentFutures =
  ({ database }: ActivityDependencies) =>
  async (input: StageInput): Promise<BatchTally> => {
    const attempt = await StageAttempt.begin(database.pool, input);
    const tally = await attempt.transaction(async (client) => {
      await openDiscoveries(client, attempt.batchId, input.syncId);
      return attempt.tally(client);
    });
    await currentWorkflow().handle.signal(contentsResolved, { syncId: input.syncId, discoveries: tally.discoveries });
    return tally;
  };

async function openDiscoveries(client: PoolClient, batchId: string, syncId: string): Promise<void> {
  const { rows: steps } = await client.query<{ step: string }>(
    `select distinct step from whole_units
      where batch_id = $1 and known and step is not null and discovery is null order by step`,
    [batchId],
  );
  for (const { step } of steps) {
    const { rows } = await client.query<{ number: number }>(
      `with numbered as (update syncs set discoveries = discoveries + 1 where id = $1 returning discoveries as number)
       insert into sync_discoveries (sync_id, number, step, batch_id)
       select $1, number, $2, $3 from numbered returning number`,
      [syncId, step, batchId],
    );
    await client.query(
      `update staged_units unit set discovery = $3
         from whole_units whole
        where whole.batch_id = $1 and whole.known and whole.step = $2 and whole.discovery is null and unit.id = whole.id`,
      [batchId, step, rows[0]?.number],
    );
  }
}
