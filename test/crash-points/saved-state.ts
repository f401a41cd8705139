import { cp, rm } from 'node:fs/promises';

import type { Penstock } from '../harness/penstock';
import { tableNames } from './tables';

/** Restores after which the dead rows of all of them go, as they would slow down what follows. */
const vacuumedAfter = 20;

/** A copy of all tables and of the storage, to begin again and again from. */
export class SavedState {
  private restored = 0;

  private constructor(
    private readonly penstock: Penstock,
    private readonly tables: readonly string[],
    private readonly files: string,
  ) {}

  static async take(penstock: Penstock): Promise<SavedState> {
    const tables = await tableNames(penstock);
    // Tables are filled again in any order; otherwise such keys are as before.
    const keys = await penstock.sql<{ alter: string }>(
      `select format('alter table %s alter constraint %I deferrable initially immediate', conrelid::regclass, conname) as alter
         from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace`,
    );
    for (const { alter } of keys) await penstock.sql(alter);
    await penstock.sql('create schema saved');
    for (const table of tables) await penstock.sql(`create table saved.${table} as table ${table}`);
    const files = `${penstock.storageDir}-saved`;
    await cp(penstock.storageDir, files, { recursive: true });
    return new SavedState(penstock, tables, files);
  }

  async restore(): Promise<void> {
    this.restored += 1;
    if (this.restored % vacuumedAfter === 0) await this.penstock.sql(`vacuum ${this.tables.join(', ')}`);
    const statements = [
      'set constraints all deferred',
      ...this.tables.map((table) => `delete from ${table}`),
      ...this.tables.map((table) => `insert into ${table} overriding system value select * from saved.${table}`),
    ];
    const { storageDir } = this.penstock;
    await rm(storageDir, { recursive: true });
    await Promise.all([
      this.penstock.database.pool.query(statements.join(';')),
      cp(this.files, storageDir, { recursive: true }),
    ]);
  }
}
