import { isDeepStrictEqual } from 'node:util';

import { quoted } from '../syncs/errors';
import { pages } from './pages';
import type { CheckContext, Problem } from './problem';

interface RepositoryRow {
  readonly key: string;
  readonly name: string;
}

interface StoredCounts {
  readonly number: number;
  /** Null where the version has no counts at all. */
  readonly type: string | null;
  readonly added: number;
  readonly removed: number;
  readonly present: number;
}

interface Members {
  readonly key: string;
  readonly type: string;
  readonly added: number;
  readonly removed: number | null;
  readonly members: number;
}

/** Each complete version holds, and has added and removed, as many contents of each type as it was counted with. */
export async function* checkVersions(
  context: CheckContext,
  tally: (versions: number) => void,
): AsyncGenerator<Problem> {
  const repositories = pages<RepositoryRow>(
    context,
    'select id as key, name from repositories where id > $1 order by id limit $2',
  );
  for await (const page of repositories) {
    for (const repository of page) yield* checkCounts(context, repository, tally);
  }
}

async function* checkCounts(
  context: CheckContext,
  { key: id, name }: RepositoryRow,
  tally: (versions: number) => void,
): AsyncGenerator<Problem> {
  const read = async () => (await context.pool.query<StoredCounts>(storedCounts, [id])).rows;
  let stored = await read();
  tally(new Set(stored.map(({ number }) => number)).size);
  for (;;) {
    const changes = await countChanges(context, id);
    const problems = [...differences(name, stored, changes)];
    if (problems.length === 0) return;
    // Where a version was completed or deleted meanwhile, or the repository itself, its members are those of another moment.
    const again = await read();
    if (isDeepStrictEqual(stored, again)) {
      yield* problems;
      return;
    }
    stored = again;
  }
}

const storedCounts = `
  select version.number, counts.type, counts.added, counts.removed, counts.present
    from repository_versions version
    left join repository_version_counts counts on counts.version_id = version.id
   where version.repository_id = $1 and version.complete
   order by version.number, counts.type`;

/** Contents that versions have added and removed: by type, then by the version's number. */
type Changes = Map<string, Map<number, { added: number; removed: number }>>;

async function countChanges(context: CheckContext, repositoryId: string): Promise<Changes> {
  const changes: Changes = new Map();
  const at = (type: string, number: number) => {
    const ofType = changes.get(type) ?? new Map<number, { added: number; removed: number }>();
    const change = ofType.get(number) ?? { added: 0, removed: 0 };
    changes.set(type, ofType.set(number, change));
    return change;
  };
  for await (const page of pages<Members>(context, memberPage, [repositoryId])) {
    for (const { type, added, removed, members } of page) {
      at(type, added).added += members;
      if (removed !== null) at(type, removed).removed += members;
    }
  }
  return changes;
}

/** The page goes along the primary key; "with ties" keeps a content that was added several times in one page. */
const memberPage = `
  with page as materialized (
    select content_id, version_added, version_removed
      from repository_contents
     where repository_id = $3 and content_id > $1
     order by content_id fetch first ($2) rows with ties
  )
  select (select max(content_id) from page) as key, content.type, page.version_added as added,
         page.version_removed as removed, count(*)::int as members
    from page join contents content on content.id = page.content_id
   group by content.type, page.version_added, page.version_removed`;

function* differences(repository: string, stored: readonly StoredCounts[], changes: Changes): Generator<Problem> {
  const complete = new Set(stored.map(({ number }) => number));
  const types = new Set([...stored.flatMap(({ type }) => type ?? []), ...changes.keys()]);
  for (const type of types) {
    const ofType = changes.get(type);
    const counted = new Map(stored.flatMap((counts) => (counts.type === type ? [[counts.number, counts]] : [])));
    let present = 0;
    for (const number of [...new Set([...complete, ...(ofType?.keys() ?? [])])].sort((a, b) => a - b)) {
      const { added, removed } = ofType?.get(number) ?? { added: 0, removed: 0 };
      present += added - removed;
      if (!complete.has(number)) continue;
      const expected = shown(counted.get(number) ?? { added: 0, removed: 0, present: 0 });
      const found = shown({ added, removed, present });
      if (expected === found) continue;
      yield {
        kind: 'versionCounts',
        message: `Version ${number} of repository "${repository}" was counted with ${expected} contents of type ${type}; its members are ${found}.`,
        mend: `A complete version never changes: restore it from a backup, or make a new one: penstock sync ${quoted(repository)} --no-optimize`,
        ...{ repository, version: number, type, expected, found },
      };
    }
  }
}

function shown({ added, removed, present }: Pick<StoredCounts, 'added' | 'removed' | 'present'>): string {
  return `${added} added, ${removed} removed, ${present} present`;
}
