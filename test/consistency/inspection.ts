import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { checkConsistency } from '../../src/consistency/check';
import type { CheckName, Checked } from '../../src/consistency/check';
import type { CheckContext, Problem } from '../../src/consistency/problem';
import { openStorageForReading } from '../../src/storage/open-storage';
import type { Penstock } from '../harness/penstock';

/** What a check has found. */
export interface Inspection {
  readonly problems: readonly Problem[];
  readonly checked: Readonly<Partial<Record<CheckName, Checked>>>;
}

/** Checks a whole Penstock. */
export async function inspect(penstock: Penstock, changes: Partial<CheckContext> = {}): Promise<Inspection> {
  const { database, plugins, settings, client } = penstock;
  const context: CheckContext = {
    pool: database.pool,
    plugins,
    storage: await openStorageForReading(settings),
    place: settings.storage,
    client,
    deep: false,
    olderThan: 24,
    signal: new AbortController().signal,
    ...changes,
  };
  const problems: Problem[] = [];
  const checked: Partial<Record<CheckName, Checked>> = {};
  for await (const finding of checkConsistency(context)) {
    if ('problem' in finding) problems.push(finding.problem);
    if ('over' in finding) checked[finding.over] = finding.checked;
  }
  return { problems, checked };
}

/** Removes rows; the returned function puts them back. */
export async function takeRows(penstock: Penstock, table: string, where: string): Promise<() => Promise<unknown>> {
  const [taken] = await penstock.sql<{ rows: unknown }>(
    `with taken as (delete from ${table} where ${where} returning *) select json_agg(taken) as rows from taken`,
  );
  if (!taken?.rows) throw new Error(`${table} has no row where ${where}`);
  return () =>
    penstock.sql(
      `insert into ${table} overriding system value select * from json_populate_recordset(null::${table}, $1::json)`,
      [JSON.stringify(taken.rows)],
    );
}

/** Puts a file into the storage that was written two days ago. */
export async function putOldFile({ storageDir }: Penstock, key: string): Promise<string> {
  const path = join(storageDir, key);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, 'left');
  const moment = new Date(Date.now() - 48 * 3_600_000);
  await utimes(path, moment, moment);
  return path;
}
