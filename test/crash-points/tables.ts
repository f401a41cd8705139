import type { Penstock } from '../harness/penstock';

type Row = Readonly<Record<string, unknown>>;
type Tables = Readonly<Record<string, readonly Row[]>>;

/** Columns that tell one run from another, and nothing of what it has come to. */
const passing = /^(id|fence|runs|run_id|workflow_id|batches|discoveries|.*_at)$/;

/**
 * All rows of all tables, each as a text in which ids are replaced by what they stand for: equal texts are equal rows, whatever
 * the order in which they came about.
 */
export async function rowsOf(penstock: Penstock): Promise<Record<string, string[]>> {
  const tables = await readTables(penstock);
  const names = new Names(tables, penstock);
  return Object.fromEntries(
    Object.entries(tables).map(([table, rows]) => [table, rows.map((row) => names.describe(table, row)).sort()]),
  );
}

/** The tables of the product, but for the record of its migrations. */
export async function tableNames(penstock: Penstock): Promise<string[]> {
  const rows = await penstock.sql<{ name: string }>(
    `select table_name as name from information_schema.tables
      where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> 'schema_migrations' order by 1`,
  );
  return rows.map(({ name }) => name);
}

/** One statement: one snapshot, and one round trip. */
async function readTables(penstock: Penstock): Promise<Tables> {
  const parts = (await tableNames(penstock)).map(
    (name) => `'${name}', (select coalesce(json_agg(each), '[]') from ${name} each)`,
  );
  const [row] = await penstock.sql<{ tables: Tables }>(`select json_build_object(${parts.join(', ')}) as tables`);
  if (!row) throw new Error('a select without a table has one row');
  return row.tables;
}

/** What ids stand for. */
class Names {
  private readonly contents = new Map<unknown, string>();

  constructor(
    private readonly tables: Tables,
    { plugins }: Penstock,
  ) {
    for (const { table, name, naturalKey } of plugins.all.flatMap((plugin) => plugin.contents)) {
      for (const row of this.rows(table)) {
        const key = naturalKey.map((column) => row[column.name]);
        this.contents.set(row.content_id, `${name} ${JSON.stringify(key)}`);
      }
    }
  }

  describe(table: string, row: Row): string {
    const columns = Object.entries(row).filter(([column]) => !passing.test(column));
    const described = columns.map(([column, value]) => [column, value === null ? null : this.nameOf(column, value)]);
    const own = table === 'contents' ? [['content', this.content(row.id)]] : [];
    return JSON.stringify(Object.fromEntries([...own, ...described]));
  }

  private nameOf(column: string, id: unknown): unknown {
    switch (column) {
      case 'content_id':
      case 'referenced_id':
        return this.content(id);
      case 'repository_id':
        return this.row('repositories', id).name;
      case 'remote_id':
        return this.row('remotes', id).name;
      case 'artifact_id':
        return this.row('artifacts', id).sha256;
      case 'version_id':
        return this.describe('repository_versions', this.row('repository_versions', id));
      case 'content_artifact_id':
        return this.describe('content_artifacts', this.row('content_artifacts', id));
      case 'role_id':
        return this.describe('galaxy_roles', this.row('galaxy_roles', id));
      case 'sync_id':
        return this.sync(this.row('syncs', id));
      default:
        if (column.endsWith('_id')) throw new Error(`What does the column ${column} stand for?`);
        return id;
    }
  }

  private sync({ state, base_version: base }: Row): string {
    return `a sync, ${String(state)}, after version ${String(base)}`;
  }

  private content(id: unknown): string {
    return this.contents.get(id) ?? 'a content without a row';
  }

  private row(table: string, id: unknown): Row {
    return this.rows(table).find((row) => row.id === id) ?? { missing: true };
  }

  private rows(table: string): readonly Row[] {
    return this.tables[table] ?? [];
  }
}
