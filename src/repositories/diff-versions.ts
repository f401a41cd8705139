import type { Pool } from 'pg';

import type { PluginRegistry } from '../plugins';
import { fieldsOf } from './contents';
import { findVersion } from './versions';

/** A content that one of two versions holds. */
export interface ContentChange {
  /** Whether the second version holds it, and the first does not, or the reverse. */
  readonly change: 'added' | 'removed';
  readonly id: string;
  readonly type: string;
  /** Its natural key. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Two versions of a repository. */
export interface VersionPair {
  readonly repository: string;
  readonly from: number;
  readonly to: number;
}

interface Store {
  readonly pool: Pool;
  readonly plugins: PluginRegistry;
}

const pageSize = 1000;

/**
 * What the second version has added to the first, and what it has removed, in the order of the contents' ids, read page by
 * page: memory does not grow with the difference.
 *
 * @throws {@link VersionNotFound} at the end, where one of the versions was deleted meanwhile.
 */
export async function* listChanges(
  store: Store,
  { repository, from, to }: VersionPair,
  limit: number,
): AsyncGenerator<ContentChange> {
  let left = limit;
  let after = '0';
  while (left > 0) {
    const size = Math.min(left, pageSize);
    const { rows } = await store.pool.query<Omit<ContentChange, 'fields'>>(
      `select content.id, content.type, case when differing.added then 'added' else 'removed' end as change
         from (${differing} order by held.content_id limit $5) differing
         join contents content on content.id = differing.content_id
        order by content.id`,
      [repository, from, to, after, size],
    );
    const keys = await fieldsOf(store, rows, ({ naturalKey }) => naturalKey);
    for (const row of rows) yield { ...row, fields: keys.get(row.id) ?? {} };
    const last = rows.at(-1);
    if (!last || rows.length < size) break;
    after = last.id;
    left -= rows.length;
  }
  // Numbers are never used twice: versions that are there now were there for every page.
  for (const number of [from, to]) await findVersion(repository, number);
}

/** How many contents {@link listChanges} finds. */
export async function countChanges(
  { pool }: Store,
  { repository, from, to }: VersionPair,
): Promise<{ readonly added: number; readonly removed: number }> {
  const { rows } = await pool.query<{ added: number; removed: number }>(
    `select count(*) filter (where added)::int as added, count(*) filter (where not added)::int as removed
       from (${differing}) differing`,
    [repository, from, to, '0'],
  );
  return rows[0] ?? { added: 0, removed: 0 };
}

/**
 * The contents after $4 that one of the versions $2 and $3 holds. An association that holds its content in both or in none of
 * them says nothing; two that each hold it in one of them, as it was removed and added again between, make no difference.
 */
const differing = `
  select held.content_id, bool_or(place.in_second) as added
    from repositories repository
    join repository_contents held on held.repository_id = repository.id
   cross join lateral (
     select held.version_added <= $2 and (held.version_removed is null or held.version_removed > $2) as in_first,
            held.version_added <= $3 and (held.version_removed is null or held.version_removed > $3) as in_second
   ) place
   where repository.name = $1 and held.content_id > $4 and place.in_first <> place.in_second
   group by held.content_id
  having bool_or(place.in_first) <> bool_or(place.in_second)`;
