import type { ContentType } from '../plugins/content-type';
import { quoted } from '../syncs/errors';
import { pages } from './pages';
import type { CheckContext, Problem } from './problem';

interface ContentRow {
  readonly key: string;
  readonly type: string;
  /** Null for a type that no plugin has. */
  readonly detailed: boolean | null;
}

interface DetailRow {
  readonly key: string;
  /** Of the content; null where there is none. */
  readonly type: string | null;
}

/** Each content has its row in the table of its type, and each row of such a table its content. */
export async function* checkContents(
  context: CheckContext,
  tally: (contents: number) => void,
): AsyncGenerator<Problem> {
  const types = context.plugins.all.flatMap((plugin) => plugin.contents);
  const unknown = new Map<string, number>();
  for await (const page of pages<ContentRow>(context, contentPage(types))) {
    tally(page.length);
    for (const { type, detailed } of page) {
      if (detailed === null) unknown.set(type, (unknown.get(type) ?? 0) + 1);
    }
    const bare = page.filter(({ detailed }) => detailed === false);
    if (bare.length > 0) yield* withoutRow(context, types, bare);
  }
  for (const [type, contents] of unknown) {
    yield {
      kind: 'contentTypeUnknown',
      message: `No plugin of this installation has the type ${type}, which ${contents} contents are of; their rows were not checked.`,
      mend: 'Run a build of Penstock that has the plugin.',
      ...{ type, expected: types.map(({ name }) => name).join(', '), found: `${contents} contents` },
    };
  }
  for (const type of types) yield* checkDetails(context, type);
}

/** One look-up in the table of its type for each content of the page. */
function contentPage(types: readonly ContentType[]): string {
  const cases = types.map(
    ({ name, table }) => `when '${name}' then exists (select from ${table} detail where detail.content_id = page.id)`,
  );
  return `
    with page as materialized (select id, type from contents where id > $1 order by id limit $2)
    select id as key, type, case type ${cases.join(' ')} end as detailed from page order by id`;
}

async function* withoutRow(
  { pool }: CheckContext,
  types: readonly ContentType[],
  contents: readonly ContentRow[],
): AsyncGenerator<Problem> {
  const { rows } = await pool.query<{ repository: string | null }>(holders, [contents.map(({ key }) => key)]);
  for (const [index, { key: content, type }] of contents.entries()) {
    const table = types.find(({ name }) => name === type)?.table ?? '';
    const repository = rows[index]?.repository ?? null;
    const where = repository === null ? 'which no repository has' : `in repository "${repository}"`;
    yield {
      kind: 'contentWithoutRow',
      message: `Content ${content} of type ${type}, ${where}, has no row in ${table}: nobody can tell what it is.`,
      mend:
        repository === null
          ? 'Nothing needs it: a sync that finds such content saves it anew.'
          : `A sync saves it anew, and with --mirror removes this one from the new version: penstock sync ${quoted(repository)} --mirror --no-optimize`,
      ...{ repository, content, type, expected: `a row in ${table}`, found: 'none' },
    };
  }
}

/** In the order of the contents; of several repositories one that still holds it. */
const holders = `
  select holder.name as repository
    from unnest($1::bigint[]) with ordinality as wanted (id, ordinal)
    left join lateral (
      select repository.name
        from repository_contents held join repositories repository on repository.id = held.repository_id
       where held.content_id = wanted.id
       order by held.version_removed desc nulls first, held.repository_id limit 1) holder on true
   order by wanted.ordinal`;

async function* checkDetails(context: CheckContext, { name, table }: ContentType): AsyncGenerator<Problem> {
  const details = pages<DetailRow>(
    context,
    `with page as materialized (select content_id from ${table} where content_id > $1 order by content_id limit $2)
     select page.content_id as key, content.type
       from page left join contents content on content.id = page.content_id order by page.content_id`,
  );
  for await (const page of details) {
    for (const { key: content, type } of page) {
      if (type === name) continue;
      const found = type === null ? 'no content' : `a content of type ${type}`;
      yield {
        kind: 'rowOfOtherType',
        message: `Table ${table} has a row for content ${content}, which has to be of type ${name}; found ${found}.`,
        mend: 'No command mends this: restore the content from a backup.',
        ...{ content, type: name, expected: `a content of type ${name}`, found },
      };
    }
  }
}
