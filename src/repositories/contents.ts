import type { Pool } from 'pg';

import type { Queryable } from '../models/database';
import type { PluginRegistry } from '../plugins';
import type { Column, ContentType } from '../plugins/content-type';
import { ContentNotFound } from './errors';
import { findVersion } from './versions';

/** One file of a content. */
export interface ContentFile {
  readonly relativePath: string;
  /** Whether the file is stored; where it is not, it is fetched at the first request. */
  readonly stored: boolean;
  readonly sha256: string | null;
  /** Bytes; null where nobody knows. */
  readonly size: number | null;
  /** Where it can be fetched. */
  readonly urls: readonly string[];
}

/** A content as it is shown. */
export interface ContentView {
  readonly id: string;
  readonly type: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly files: readonly ContentFile[];
}

/** A content and the version that has brought it. */
export type ListedContent = ContentView & { readonly versionAdded: number };

/** What of a version is listed. */
export interface ContentSelection {
  readonly repository: string;
  readonly version: number;
  /** Only contents with a higher id: the cursor. */
  readonly after: string;
  readonly limit: number;
  readonly type?: string | undefined;
}

interface Store {
  readonly pool: Pool;
  readonly plugins: PluginRegistry;
}

const pageSize = 1000;

/**
 * The contents of a version in the order of their ids, read page by page: memory does not grow with the repository.
 *
 * @throws {@link VersionNotFound} at the end, where the version was deleted meanwhile.
 */
export async function* listContents(store: Store, selection: ContentSelection): AsyncGenerator<ListedContent> {
  let { after, limit } = selection;
  while (limit > 0) {
    // The page goes along the primary key of the associations, from the last id on.
    const { rows } = await store.pool.query<{ id: string; type: string; versionAdded: number }>(
      `select content.id, content.type, held.version_added as "versionAdded"
         from repositories repository
         join repository_contents held on held.repository_id = repository.id
         join contents content on content.id = held.content_id
        where repository.name = $1 and held.version_added <= $2
          and (held.version_removed is null or held.version_removed > $2)
          and held.content_id > $3 and ($4::text is null or content.type = $4)
        order by held.content_id limit $5`,
      [selection.repository, selection.version, after, selection.type ?? null, Math.min(limit, pageSize)],
    );
    yield* await withDetails(store, rows);
    const last = rows.at(-1);
    if (!last || rows.length < pageSize) break;
    after = last.id;
    limit -= rows.length;
  }
  // Its number is never used twice: a version that is there now was there for every page.
  await findVersion(selection.repository, selection.version);
}

/** One content with its files. @throws {@link ContentNotFound} */
export async function findContent(
  store: Store,
  id: string,
): Promise<ContentView & { readonly versions: readonly string[] }> {
  const { rows } = await store.pool.query<{ id: string; type: string }>('select id, type from contents where id = $1', [
    id,
  ]);
  const [content] = await withDetails(store, rows);
  if (!content) throw new ContentNotFound(id);
  const held = await store.pool.query<{ repository: string; added: number; removed: number | null }>(
    `select repository.name as repository, held.version_added as added, held.version_removed as removed
       from repository_contents held join repositories repository on repository.id = held.repository_id
      where held.content_id = $1 order by repository.name, held.version_added limit 100`,
    [id],
  );
  return {
    ...content,
    versions: held.rows.map(
      ({ repository, added, removed }) =>
        `${repository}, from version ${added} on${removed === null ? '' : `, until ${removed} removed it`}`,
    ),
  };
}

/** Adds fields and files to the contents of one page, a query for each type and one for the files. */
async function withDetails<Row extends { readonly id: string; readonly type: string }>(
  store: Store,
  rows: readonly Row[],
): Promise<(Row & ContentView)[]> {
  if (rows.length === 0) return [];
  const files = await filesOf(store.pool, rows);
  const fields = await fieldsOf(store, rows, ({ columns }) => columns);
  return rows.map((row) => ({ ...row, fields: fields.get(row.id) ?? {}, files: files.get(row.id) ?? [] }));
}

/** Fields of the contents of one page, by their ids; a query for each type. */
export async function fieldsOf(
  { pool, plugins }: { readonly pool: Queryable; readonly plugins: PluginRegistry },
  rows: readonly { readonly id: string; readonly type: string }[],
  wanted: (type: ContentType) => readonly Column[],
): Promise<Map<string, Readonly<Record<string, unknown>>>> {
  const fields = new Map<string, Readonly<Record<string, unknown>>>();
  for (const type of new Set(rows.map((row) => row.type))) {
    const content = plugins.all.flatMap((plugin) => plugin.contents).find(({ name }) => name === type);
    // A plugin that is no longer installed has left its contents behind.
    if (!content) continue;
    const columns = wanted(content).map(({ name, field }) => `${name} as "${field}"`);
    const ids = rows.filter((row) => row.type === type).map(({ id }) => id);
    const details = await pool.query<Record<string, unknown> & { content_id: string }>(
      `select content_id, ${columns.join(', ')} from ${content.table} where content_id = any($1::bigint[])`,
      [ids],
    );
    for (const { content_id: id, ...values } of details.rows) fields.set(id, values);
  }
  return fields;
}

async function filesOf(pool: Pool, rows: readonly { readonly id: string }[]): Promise<Map<string, ContentFile[]>> {
  const found = await pool.query<ContentFile & { contentId: string }>(
    `select file.content_id as "contentId", file.relative_path as "relativePath", artifact.id is not null as stored,
            coalesce(artifact.sha256, max(source.sha256)) as sha256,
            coalesce(artifact.size, max(source.size))::float8 as size,
            coalesce(array_agg(distinct url) filter (where url is not null), '{}') as urls
       from content_artifacts file
       left join artifacts artifact on artifact.id = file.artifact_id
       left join remote_artifacts source on source.content_artifact_id = file.id
       left join lateral unnest(source.urls) url on true
      where file.content_id = any($1::bigint[])
      group by file.id, artifact.id
      order by file.relative_path`,
    [rows.map(({ id }) => id)],
  );
  const files = new Map<string, ContentFile[]>();
  for (const { contentId, ...file } of found.rows) files.set(contentId, [...(files.get(contentId) ?? []), file]);
  return files;
}
