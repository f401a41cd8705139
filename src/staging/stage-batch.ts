import { finished } from 'node:stream/promises';

import type { PoolClient } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

import { digestNames } from '../downloads/digests';
import type { CheckedArtifact, CheckedUnit } from '../plugins/declared-unit';

/**
 * Puts units into the staging tables as one batch, with COPY. The sync's row is locked from the batch's number to the
 * commit, so that numbers become visible in their order: who sees batch 7 sees 1 to 6 too.
 *
 * @returns the number of the batch in its sync.
 */
export async function stageBatch(
  client: PoolClient,
  syncId: string,
  discovery: number,
  units: readonly CheckedUnit[],
): Promise<number> {
  const artifacts = units.flatMap((unit) => unit.artifacts);
  const bytes = artifacts.reduce((sum, { size }) => sum + (size ?? 0), 0);
  const { rows } = await client.query<{ id: string; number: number }>(
    `with numbered as (update syncs set batches = batches + 1 where id = $1 returning batches as number)
     insert into sync_batches (sync_id, number, discovery, units, artifacts, artifact_bytes)
     select $1, number, $2, $3, $4, $5 from numbered
     returning id, number`,
    [syncId, discovery, units.length, artifacts.length, bytes],
  );
  const batch = rows[0];
  if (!batch) throw new Error(`There is no sync ${syncId}.`);
  await copy(client, 'staged_units (id, batch_id, type, fields, step)', unitLines(batch.id, units));
  await copy(client, artifactColumnNames, artifactLines(batch.id, units));
  await copy(client, 'staged_references (unit_id, batch_id, name, type, key)', referenceLines(batch.id, units));
  return batch.number;
}

/** Gives units that are staged other artifacts. */
export async function replaceArtifacts(
  client: PoolClient,
  batchId: string,
  artifacts: ReadonlyMap<string, readonly CheckedArtifact[]>,
): Promise<void> {
  if (artifacts.size === 0) return;
  await client.query('delete from staged_artifacts where unit_id = any($1::bigint[])', [[...artifacts.keys()]]);
  const lines = [...artifacts].flatMap(([unit, files]) =>
    files.map((artifact) => [unit, batchId, ...artifactColumns(artifact)]),
  );
  await copy(client, artifactColumnNames, lines);
  await client.query(
    `update sync_batches batch set artifacts = counted.artifacts, artifact_bytes = counted.bytes
       from (select count(*) as artifacts, coalesce(sum(size), 0) as bytes from staged_artifacts where batch_id = $1) counted
      where batch.id = $1`,
    [batchId],
  );
}

const artifactColumnNames = `staged_artifacts (unit_id, batch_id, relative_path, urls, size, ${digestNames.join(', ')}, deferred)`;

function* unitLines(batchId: string, units: readonly CheckedUnit[]): Generator<Line> {
  for (const [ordinal, { content, step }] of units.entries()) {
    yield [unitId(batchId, ordinal), batchId, content.type, JSON.stringify(content.fields), step];
  }
}

function* artifactLines(batchId: string, units: readonly CheckedUnit[]): Generator<Line> {
  for (const [ordinal, { artifacts }] of units.entries()) {
    for (const artifact of artifacts) yield [unitId(batchId, ordinal), batchId, ...artifactColumns(artifact)];
  }
}

function artifactColumns({ relativePath, urls, size, digests, deferred }: CheckedArtifact): Line {
  return [
    relativePath,
    arrayLiteral(urls),
    size,
    ...digestNames.map((name) => digests[name] ?? null),
    deferred ? 't' : 'f',
  ];
}

function* referenceLines(batchId: string, units: readonly CheckedUnit[]): Generator<Line> {
  for (const [ordinal, { references }] of units.entries()) {
    for (const { name, type, key } of references)
      yield [unitId(batchId, ordinal), batchId, name, type, JSON.stringify(key)];
  }
}

/** The id of a unit by its place in its batch, as the schema says it. */
function unitId(batchId: string, ordinal: number): string {
  return (BigInt(batchId) * 65_536n + BigInt(ordinal)).toString();
}

type Line = readonly (string | number | null)[];

/** Writes lines into a table in the text format of COPY (PostgreSQL's manual, COPY, "Text Format"). */
async function copy(client: PoolClient, target: string, lines: Iterable<Line>): Promise<void> {
  let text = '';
  for (const line of lines) text += `${line.map(copyValue).join('\t')}\n`;
  if (text === '') return;
  const stream = client.query(copyFrom(`copy ${target} from stdin`));
  // A batch is bounded, so its text is written at once.
  stream.end(text);
  await finished(stream);
}

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function copyValue(value: string | number | null): string {
  if (value === null) return '\\N';
  return typeof value === 'number' ? String(value) : value.replace(/[\\\n\r\t]/g, (found) => escapes[found] ?? found);
}

/** A text array as PostgreSQL reads it (the manual, Arrays, "Array Input and Output Syntax"). */
function arrayLiteral(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
}
