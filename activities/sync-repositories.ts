import type { Database } from '../src/models/database';

/** Syncs whose repositories are remembered. */
const remembered = 1000;

/** Milliseconds: a database that says nothing holds no activity back. */
const patience = 2000;

/** Knows for which repository an activity works: its input names it, or the sync. */
export class SyncRepositories {
  private readonly names = new Map<string, string>();

  constructor(private readonly database: Pick<Database, 'pool'>) {}

  /** The name of the repository; `undefined` where it cannot be told, as while the database is away. */
  async find(input: unknown): Promise<string | undefined> {
    const { repository, syncId } = (input ?? {}) as { readonly repository?: string; readonly syncId?: string };
    if (repository !== undefined || syncId === undefined) return repository;
    const known = this.names.get(syncId);
    if (known !== undefined) return known;
    try {
      const { rows } = await this.database.pool.query<{ name: string }>({
        text: 'select repository.name from syncs sync join repositories repository on repository.id = sync.repository_id where sync.id = $1',
        values: [syncId],
        // Known to pg, and not to its types.
        ...{ query_timeout: patience },
      });
      const name = rows[0]?.name;
      if (name !== undefined) this.remember(syncId, name);
      return name;
    } catch {
      // What it is asked for is worth more than the name.
      return undefined;
    }
  }

  private remember(syncId: string, name: string): void {
    const [oldest] = this.names.keys();
    if (this.names.size >= remembered && oldest !== undefined) this.names.delete(oldest);
    this.names.set(syncId, name);
  }
}
