import type { CheckContext } from './problem';

/** Rows, and files, that are looked at with one statement. */
export const pageSize = 1000;

/**
 * Reads rows page by page along a key, each page in a statement of its own: memory does not grow with the table, and no
 * transaction lasts.
 *
 * @param sql - takes the last key as `$1`, the rows of a page as `$2`, and then the values; its rows have their `key`, in its order
 * @param first - comes before all keys
 */
export async function* pages<Row extends { readonly key: string }>(
  { pool, signal }: Pick<CheckContext, 'pool' | 'signal'>,
  sql: string,
  values: readonly unknown[] = [],
  first = '0',
): AsyncGenerator<Row[]> {
  for (let after: string | undefined = first; after !== undefined;) {
    signal.throwIfAborted();
    const { rows }: { rows: Row[] } = await pool.query<Row>(sql, [after, pageSize, ...values]);
    if (rows.length > 0) yield rows;
    after = rows.at(-1)?.key;
  }
}

/** Gathers what comes one by one into pages. */
export async function* inPages<T>(items: AsyncIterable<T>): AsyncGenerator<T[]> {
  let page: T[] = [];
  for await (const item of items) {
    page.push(item);
    if (page.length < pageSize) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}
