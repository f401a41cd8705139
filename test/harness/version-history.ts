import type { Pool } from 'pg';

import { countContents } from '../../src/repositories/count-contents';
import { inTransaction } from '../../src/models/database';
import { sha256 } from './file-repository';

/** The ids of the contents that each version holds, by its number. */
export type Members = ReadonlyMap<number, readonly number[]>;

/** Saves contents with these ids; those with an even id are files, the others are of a plugin that is not installed. */
export async function addContents(pool: Pick<Pool, 'query'>, ids: readonly number[]): Promise<void> {
  await pool.query(
    `insert into contents (id, type)
     select id, case when id % 2 = 0 then 'file.file' else 'other.thing' end from unnest($1::bigint[]) id`,
    [ids],
  );
  const files = ids.filter((id) => id % 2 === 0);
  await pool.query(
    `insert into file_contents (content_id, relative_path, digest)
     select * from unnest($1::bigint[], $2::text[], $3::text[])`,
    [files, files.map((id) => `file-${id}.txt`), files.map((id) => sha256(String(id)))],
  );
}

/** Makes a repository whose complete versions, from 0 on, hold these contents. */
export async function writeHistory(
  pool: Pool,
  repository: string,
  versions: readonly (readonly number[])[],
): Promise<void> {
  await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      `insert into repositories (name, type, next_version) values ($1, 'file', $2) returning id`,
      [repository, versions.length],
    );
    const repositoryId = rows[0]?.id ?? '';
    const { rows: written } = await client.query<{ versionId: string; number: number }>(
      `insert into repository_versions (repository_id, number, complete, completed_at)
       select $1, number, true, now() from generate_series(0, $2::integer - 1) number
       returning id as "versionId", number`,
      [repositoryId, versions.length],
    );
    for (const [number, members] of versions.entries()) {
      await client.query(
        `update repository_contents set version_removed = $2
          where repository_id = $1 and version_removed is null and content_id <> all($3::bigint[])`,
        [repositoryId, number, members],
      );
      await client.query(
        `insert into repository_contents (repository_id, content_id, version_added)
         select $1, id, $2 from unnest($3::bigint[]) id on conflict do nothing`,
        [repositoryId, number, members],
      );
    }
    for (const version of written) await countContents(client, { repositoryId, ...version });
  });
}

/** What each complete version of a repository holds; an error where it holds a content twice. */
export async function membersOf(pool: Pick<Pool, 'query'>, repository: string): Promise<Members> {
  const { rows } = await pool.query<{ number: number; members: number[] }>(
    `select version.number,
            coalesce(array_agg(held.content_id::integer order by held.content_id) filter (where held.content_id is not null), '{}') as members
       from repositories repository
       join repository_versions version on version.repository_id = repository.id and version.complete
       left join repository_contents held
         on held.repository_id = repository.id and held.version_added <= version.number
        and (held.version_removed is null or held.version_removed > version.number)
      where repository.name = $1
      group by version.number order by version.number`,
    [repository],
  );
  for (const { number, members } of rows) {
    if (new Set(members).size < members.length) throw new Error(`Version ${number} holds a content twice.`);
  }
  return new Map(rows.map(({ number, members }) => [number, members]));
}
