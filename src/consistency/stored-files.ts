import type { Pool } from 'pg';

import type { ListedFile } from '../storage/storage';
import { describePlace } from '../storage/storage-place';
import { quoted } from '../syncs/errors';
import { inPages } from './pages';
import { openStates, requireStorage, tidyingHours } from './problem';
import type { CheckContext, Problem, ProblemKind } from './problem';

/** Every file in the storage is an artifact's, or the metadata of a sync that is not over; unless it is young. */
export async function* checkStoredFiles(
  context: CheckContext,
  tally: (files: number) => void,
): AsyncGenerator<Problem> {
  const { pool, olderThan, signal } = context;
  const storage = requireStorage(context);
  const before = Date.now() - olderThan * 3_600_000;
  for await (const page of inPages(storage.list(''))) {
    signal.throwIfAborted();
    tally(page.length);
    const files = sortOut(page.filter(({ modifiedAt }) => modifiedAt.getTime() < before));
    yield* problems(context, 'fileUnknown', files.unknown);
    yield* problems(context, 'temporaryFileLeft', files.temporary);
    yield* problems(context, 'corruptedFileLeft', files.corrupted);
    yield* problems(context, 'fileWithoutRow', await withoutRow(pool, files.artifacts));
    yield* problems(context, 'metadataLeft', await ofSyncsThatAreOver(pool, files.metadata));
  }
}

/** Files by what the database calls them: an artifact's sha256, a sync's id. */
type Named = ReadonlyMap<ListedFile, string>;

function sortOut(files: readonly ListedFile[]) {
  const artifacts = new Map<ListedFile, string>();
  const metadata = new Map<ListedFile, string>();
  const temporary: ListedFile[] = [];
  const corrupted: ListedFile[] = [];
  const unknown: ListedFile[] = [];
  for (const file of files) {
    const [, folder, rest] = /^artifact\/([0-9a-f]{2})\/([0-9a-f]{62})$/.exec(file.key) ?? [];
    const [, sync] = /^metadata\/(\d{1,18})\/[0-9a-f]{64}$/.exec(file.key) ?? [];
    if (folder !== undefined && rest !== undefined) artifacts.set(file, folder + rest);
    else if (sync !== undefined) metadata.set(file, sync);
    else if (file.key.startsWith('tmp/')) temporary.push(file);
    else if (file.key.startsWith('corrupted/')) corrupted.push(file);
    else unknown.push(file);
  }
  return { artifacts, metadata, temporary, corrupted, unknown };
}

/**
 * What a sync has stored and not saved yet is staged until it is saved, also where the sync was interrupted long ago. So staging
 * is looked at first: what has left it meanwhile is then found among the artifacts. Most pages need neither.
 */
async function withoutRow(pool: Pool, files: Named): Promise<ListedFile[]> {
  let left = await without(pool, savedArtifacts, files);
  if (left.size === 0) return [];
  left = await without(pool, stagedArtifacts, left);
  left = await without(pool, savedArtifacts, left);
  return [...left.keys()];
}

const savedArtifacts = 'select sha256 as name from artifacts where sha256 = any($1::text[])';

/** A declared digest counts too: a file that was put in place is noted a moment later, or after a crash. */
const stagedArtifacts = `
  select stored_sha256 as name from staged_artifacts where stored_sha256 = any($1::text[])
   union
  select sha256 from staged_artifacts where sha256 = any($1::text[])`;

/** Only an open sync reads its metadata: a completed one has it removed, and keeps what the next sync compares with in its rows. */
async function ofSyncsThatAreOver(pool: Pool, files: Named): Promise<ListedFile[]> {
  return [...(await without(pool, syncsWithMetadata, files)).keys()];
}

const syncsWithMetadata = `
  select id as name from syncs
   where id = any($1::bigint[])
     and (state in ${openStates} or finished_at > now() - interval '${tidyingHours} hours')`;

/** The files but for those whose names a statement finds. */
async function without(pool: Pool, sql: string, files: Named): Promise<Named> {
  if (files.size === 0) return files;
  const { rows } = await pool.query<{ name: string }>(sql, [[...new Set(files.values())]]);
  const found = new Set(rows.map(({ name }) => name));
  return new Map([...files].filter(([, name]) => !found.has(name)));
}

interface Told {
  readonly what: string;
  readonly expected: string;
  readonly mend: (remove: string) => string;
}

const told = {
  fileUnknown: {
    what: 'is none that Penstock stores',
    expected: 'artifact/…, metadata/… or tmp/…',
    mend: (remove) => `Nothing of Penstock needs it: ${remove}`,
  },
  temporaryFileLeft: {
    what: 'is temporary, and nobody writes to it any more',
    expected: 'a younger file',
    mend: () => 'It is removed once it is a day old: penstock clean',
  },
  corruptedFileLeft: {
    what: 'was set aside by a repair, as its bytes are not those of its artifact',
    expected: 'a younger file',
    mend: () => 'Look at it if you want to know what has happened to it, and remove it: penstock clean',
  },
  fileWithoutRow: {
    what: 'is no artifact, and no sync is about to save it',
    expected: 'an artifact with its sha256',
    mend: () => 'It does no harm, and a sync that wants it takes it. Remove it: penstock clean',
  },
  metadataLeft: {
    what: 'was pinned by a sync that is over, or deleted',
    expected: 'an open sync',
    mend: () => 'Nothing reads it any more; remove it: penstock clean',
  },
} satisfies Readonly<Partial<Record<ProblemKind, Told>>>;

function* problems({ place }: CheckContext, kind: keyof typeof told, files: readonly ListedFile[]): Generator<Problem> {
  const { what, expected, mend }: Told = told[kind];
  for (const { key: path, size, modifiedAt } of files) {
    const found = `${size} bytes of ${modifiedAt.toISOString()}`;
    yield {
      kind,
      message: `File ${path} in the storage ${what}: expected ${expected}, found ${found}.`,
      mend: mend(`${place.kind === 's3' ? 'aws s3 rm' : 'rm'} ${quoted(`${describePlace(place)}/${path}`)}`),
      ...{ path, expected, found },
    };
  }
}
