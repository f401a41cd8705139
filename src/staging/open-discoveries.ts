import type { PoolClient } from 'pg';

/** Opens a discovery for each step that saved contents of a batch wait for; it goes on from all of them at once. */
export async function openDiscoveries(client: PoolClient, batchId: string, syncId: string): Promise<void> {
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
