import type { Pool } from 'pg';

import { pageSize } from './listings';
import type { ListingPage } from './listings';

/** The base paths of all distributions, as folders. */
export async function listBasePaths(pool: Pool, after = ''): Promise<ListingPage> {
  const { rows } = await pool.query<{ name: string }>({
    name: 'base paths',
    text: `select base_path as name from distributions
            where base_path > $1 collate "C" order by base_path collate "C" limit $2`,
    values: [after.replace(/\/$/, ''), pageSize + 1],
  });
  const entries = rows.slice(0, pageSize).map(({ name }) => ({
    ...{ name, type: 'directory' as const },
    ...{ size: null, sha256: null, lastModified: null },
  }));
  return { entries, next: rows.length > pageSize ? entries.at(-1)?.name : undefined };
}
