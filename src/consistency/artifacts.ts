import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';

import { digestNames } from '../downloads/digests';
import type { DigestName } from '../downloads/digests';
import { asError } from '../errors';
import { inLanes } from '../lanes';
import { artifactKey } from '../storage/storage';
import { quoted } from '../syncs/errors';
import { pages } from './pages';
import type { CheckContext, CheckedStorage, Problem, ProblemKind } from './problem';

type ArtifactRow = Readonly<Record<DigestName, string | null>> & {
  readonly key: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
};

interface Fault {
  readonly artifact: ArtifactRow;
  readonly kind: ProblemKind;
  readonly expected: string;
  readonly found: string;
}

/** Where an artifact is used; nulls where it is not. */
interface Use {
  readonly content: string | null;
  readonly path: string | null;
  readonly repository: string | null;
}

/** Files that are read at once: one alone leaves disk and processor waiting for one another. */
const readAtOnce = 4;

/** The file of each artifact lies in the storage with its size, and where it is read, with all of its digests. */
export async function* checkArtifacts(
  context: CheckContext,
  tally: (artifacts: number) => void,
): AsyncGenerator<Problem> {
  const { storage } = context;
  for await (const page of pages<ArtifactRow>(context, artifactPage)) {
    if (!storage) {
      yield storageMissing(context);
      return;
    }
    tally(page.length);
    const faults = await findFaults(context, storage, page);
    if (faults.length === 0) continue;
    const { rows: uses } = await context.pool.query<Use>(firstUses, [faults.map(({ artifact }) => artifact.key)]);
    for (const [index, fault] of faults.entries()) yield asProblem(context, fault, uses[index]);
  }
}

const artifactPage = `
  select id as key, ${digestNames.join(', ')}, size::float8 as size from artifacts where id > $1 order by id limit $2`;

/** In the order of the artifacts. A repository that still holds the content comes first: its sync mends the file. */
const firstUses = `
  select use.content, use.path, use.repository
    from unnest($1::bigint[]) with ordinality as wanted (id, ordinal)
    left join lateral (
      select file.content_id as content, file.relative_path as path, repository.name as repository
        from content_artifacts file
        left join repository_contents held on held.content_id = file.content_id
        left join repositories repository on repository.id = held.repository_id
       where file.artifact_id = wanted.id
       order by repository.id is null, held.version_removed desc nulls first, repository.id limit 1) use on true
   order by wanted.ordinal`;

async function findFaults(
  context: CheckContext,
  storage: CheckedStorage,
  page: readonly ArtifactRow[],
): Promise<Fault[]> {
  const found: (Fault | undefined)[] = [];
  await inLanes(page.entries(), readAtOnce, async ([index, artifact]) => {
    context.signal.throwIfAborted();
    found[index] = await findFault(context, storage, artifact);
  });
  return found.filter((fault) => fault !== undefined);
}

async function findFault(
  { deep, signal }: CheckContext,
  storage: CheckedStorage,
  artifact: ArtifactRow,
): Promise<Fault | undefined> {
  const key = artifactKey(artifact.sha256);
  try {
    const size = await storage.sizeOf(key);
    const expected = `${artifact.size} bytes`;
    if (size === undefined) return { artifact, kind: 'artifactFileMissing', expected, found: 'no file' };
    if (size !== artifact.size) return { artifact, kind: 'artifactFileSize', expected, found: `${size} bytes` };
    return deep ? await findOtherDigest(storage, artifact, signal) : undefined;
  } catch (error) {
    signal.throwIfAborted();
    const { message } = asError(error);
    return { artifact, kind: 'artifactFileUnreadable', expected: 'a file that can be read', found: message };
  }
}

async function findOtherDigest(
  storage: CheckedStorage,
  artifact: ArtifactRow,
  signal: AbortSignal,
): Promise<Fault | undefined> {
  const names = digestNames.filter((name) => artifact[name] !== null);
  const hashes = names.map((name) => createHash(name));
  await pipeline(
    storage.read(artifactKey(artifact.sha256)),
    async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) for (const hash of hashes) hash.update(chunk);
    },
    { signal },
  );
  const digests = hashes.map((hash) => hash.digest('hex'));
  const wrong = names.findIndex((name, index) => artifact[name] !== digests[index]);
  const name = names[wrong];
  if (name === undefined) return undefined;
  return {
    artifact,
    kind: 'artifactFileDigest',
    expected: `${name} ${artifact[name] ?? ''}`,
    found: `${name} ${digests[wrong] ?? ''}`,
  };
}

function asProblem({ storageDir }: CheckContext, { artifact, kind, expected, found }: Fault, use?: Use): Problem {
  const path = artifactKey(artifact.sha256);
  const { content, repository } = { content: use?.content ?? null, repository: use?.repository ?? null };
  const of = content === null ? 'which no content has' : `file "${use?.path ?? ''}" of content ${content}`;
  const where = repository === null ? '' : ` in repository "${repository}"`;
  // A sync looks for the file and its size, not for its bytes.
  const remove = kind === 'artifactFileDigest' ? `Remove the file (rm ${quotedPath(storageDir, path)}). Then ` : '';
  const sync =
    repository === null
      ? 'a sync that needs it downloads it again.'
      : `sync the repository again, which downloads it where upstream still has it: penstock sync ${quoted(repository)} --no-optimize`;
  return {
    kind,
    message: `Artifact ${artifact.key} (${of}${where}) has to lie in the storage as ${path}: expected ${expected}, found ${found}.`,
    mend: remove === '' ? capitalized(sync) : `${remove}${sync}`,
    ...{ repository, content, artifact: artifact.key, path, expected, found },
  };
}

function quotedPath(folder: string, key: string): string {
  return quoted(`${folder}/${key}`);
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function storageMissing({ storageDir }: CheckContext): Problem {
  return {
    kind: 'storageMissing',
    message: `There are artifacts, and no storage at ${storageDir}: their files were not checked.`,
    mend: 'Mount it, set PENSTOCK_STORAGE to where it is, or run this on a machine that runs a worker.',
    ...{ path: storageDir, expected: 'a folder', found: 'nothing' },
  };
}
