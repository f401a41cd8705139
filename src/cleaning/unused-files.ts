import type { Pool, PoolClient } from 'pg';

import { inPages } from '../consistency/pages';
import { inLanes } from '../lanes';
import { excludeUse } from '../models/use-lock';
import { artifactKey } from '../storage/storage';
import type { ListedFile } from '../storage/storage';
import { noteCursor, noteFreed, syncIsOver } from './cleaning';
import type { Cleaning, CleaningStep, Freed, Removal } from './cleaning';

/** Files that are removed while syncs wait: so many, as what is staged is looked through for each lot. */
const filesAtOnce = 5000;
/** Of these, so many at once: an object store takes milliseconds for each. */
const removedAtOnce = 32;
/** Milliseconds for which the lock is surely held, also where this process stood still: PostgreSQL ends an idle transaction after a minute. */
const lease = 30_000;
/** Milliseconds: a younger temporary file may be a download that waits for its next attempt, whatever the protection. */
const temporaryAge = 24 * 3_600_000;

const hex = Array.from({ length: 16 }, (_, digit) => digit.toString(16));
/** The folders of the storage, in groups whose cursor is their number: those of artifacts, by their digests, and the others. */
const groups: readonly (readonly string[])[] = [
  ...hex.map((first) => hex.map((second) => `artifact/${first}${second}`)),
  ['metadata', 'tmp', 'corrupted'],
];

/** Removes files that no row names, a group of folders at a time. What Penstock does not store is left alone. */
export const removeUnusedFiles: CleaningStep = async (cleaning, cursor) => {
  const { attempt, storage, before, signal } = cleaning;
  const group = groups[Number(cursor)];
  if (group === undefined) return undefined;
  let would: Pick<Freed, 'files' | 'bytes'> = { files: 0, bytes: 0 };
  for (const folder of group) {
    for await (const page of inPages(storage.list(folder))) {
      signal.throwIfAborted();
      const old = page.filter((file) => isOlder(file, before));
      const freed = await (folder.startsWith('artifact/') ? removeUnnamed(cleaning, old) : removeOthers(cleaning, old));
      would = { files: would.files + freed.files, bytes: would.bytes + freed.bytes };
    }
  }
  const next = (Number(cursor) + 1).toString();
  await attempt.transaction(async (client) => {
    // A dry run that is interrupted in a group begins that anew.
    if (cleaning.dryRun) await noteFreed(client, cleaning, would);
    await noteCursor(client, cleaning, next);
  });
  return next;
};

/** Of artifacts' files, those that have no row and are staged by nobody. */
async function removeUnnamed(cleaning: Cleaning, files: readonly ListedFile[]) {
  const named = new Map(files.map((file) => [file.key.split('/').slice(1).join(''), file]));
  const unused = await findUnnamed(cleaning.pool, cleaning.before, [...named.keys()]);
  if (cleaning.dryRun)
    return sumUp(
      unused.map((sha256) => named.get(sha256)),
      cleaning.before,
    );
  return removeArtifactFiles(cleaning, unused);
}

/**
 * Removes files of artifacts that have no row, as long as that is so. A sync may find such a file in the storage and only then
 * write it down: it looks again when it does, under the other side of the lock that is held here.
 */
export async function removeArtifactFiles(
  removal: Removal,
  sha256s: readonly string[],
): Promise<Pick<Freed, 'files' | 'bytes'>> {
  const { attempt, storage, before } = removal;
  let [files, bytes] = [0, 0];
  for (let from = 0; from < sha256s.length; from += filesAtOnce) {
    const freed = await attempt.transaction(async (client) => {
      const unused = await findUnnamed(client, before, sha256s.slice(from, from + filesAtOnce));
      const until = performance.now() + lease;
      const removed: ListedFile[] = [];
      await inLanes(unused, removedAtOnce, async (sha256) => {
        const file = await storage.find(artifactKey(sha256));
        if (performance.now() > until) throw new Error('Removing files took longer than their lock is held.');
        if (!file || !isOlder(file, before)) return;
        await storage.remove(file.key);
        removed.push(file);
      });
      const sum = sumUp(removed, before);
      await noteFreed(client, removal, sum);
      return sum;
    }, excludeUse);
    files += freed.files;
    bytes += freed.bytes;
  }
  return { files, bytes };
}

async function findUnnamed(
  client: Pick<Pool | PoolClient, 'query'>,
  before: Date,
  sha256s: readonly string[],
): Promise<string[]> {
  if (sha256s.length === 0) return [];
  const { rows } = await client.query<{ name: string | null }>(namedFiles, [before, sha256s]);
  const named = new Set(rows.map(({ name }) => name));
  return sha256s.filter((sha256) => !named.has(sha256));
}

/** A declared digest counts too: a file that was put in place is noted a moment later, or after a crash. */
const namedFiles = `
  select sha256 as name from artifacts where sha256 = any($2::text[])
   union all
  select unnest(array[staged.sha256, staged.stored_sha256])
    from staged_artifacts staged
    join sync_batches batch on batch.id = staged.batch_id
    join syncs sync on sync.id = batch.sync_id
   where (staged.sha256 = any($2::text[]) or staged.stored_sha256 = any($2::text[])) and not ${syncIsOver}`;

/** Metadata of syncs that are over, temporary files and those that a repair has set aside: nobody takes these into use any more. */
async function removeOthers(cleaning: Cleaning, files: readonly ListedFile[]) {
  const { pool, storage, attempt, before } = cleaning;
  const syncs = new Map(files.map((file) => [file, /^metadata\/(\d{1,18})\//.exec(file.key)?.[1]]));
  const { rows } = await pool.query<{ id: string }>(
    `select sync.id from syncs sync where sync.id = any($2::bigint[]) and not ${syncIsOver}`,
    [before, [...new Set(syncs.values())].filter((id) => id !== undefined)],
  );
  const needed = new Set(rows.map(({ id }) => id));
  const inUse = (file: ListedFile) =>
    file.key.startsWith('metadata/')
      ? needed.has(syncs.get(file) ?? '')
      : file.key.startsWith('tmp/') && Date.now() - file.modifiedAt.getTime() < temporaryAge;
  const unused = files.filter((file) => !inUse(file));
  const sum = sumUp(unused, before);
  if (cleaning.dryRun || unused.length === 0) return sum;
  await inLanes(unused, removedAtOnce, ({ key }) => storage.remove(key));
  await attempt.transaction((client) => noteFreed(client, cleaning, sum));
  return sum;
}

function isOlder({ modifiedAt }: ListedFile, before: Date): boolean {
  return modifiedAt.getTime() < before.getTime();
}

/** How many files, and how large; those that are there and old enough count. */
export function sumUp(files: readonly (ListedFile | undefined)[], before: Date): Pick<Freed, 'files' | 'bytes'> {
  const old = files.filter((file) => file !== undefined).filter((file) => isOlder(file, before));
  return { files: old.length, bytes: old.reduce((sum, { size }) => sum + size, 0) };
}
