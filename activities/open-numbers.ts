import type { Pool } from 'pg';

/** Numbers from the first to the last, both inclusive. */
export type NumberRange = readonly [first: number, last: number];

/** More ranges than this are merged: what is over already does no harm when it is looked at again. */
const mostRanges = 500;

/** Which batches or discoveries of a sync are not over, as ranges: few, however many there are. */
export async function openNumbers(
  pool: Pool,
  table: 'sync_batches' | 'sync_discoveries',
  syncId: string,
): Promise<NumberRange[]> {
  // Neighbours have the same difference between number and row number.
  const { rows } = await pool.query<{ first: number; last: number }>(
    `select min(number) as first, max(number) as last
       from (select number, number - row_number() over (order by number) as island
               from ${table} where sync_id = $1 and not finished) numbered
      group by island order by first`,
    [syncId],
  );
  const ranges = rows.map(({ first, last }): NumberRange => [first, last]);
  const rest = ranges.slice(mostRanges - 1);
  const [first, last] = [rest[0], rest.at(-1)];
  return first && last ? [...ranges.slice(0, mostRanges - 1), [first[0], last[1]]] : ranges;
}
