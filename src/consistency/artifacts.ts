import { digestNames } from '../downloads/digests';
import { inLanes } from '../lanes';
import { artifactKey } from '../storage/storage';
import { describePlace } from '../storage/storage-place';
import { quoted } from '../syncs/errors';
import { findFault } from './artifact-file';
import type { ArtifactRow, Fault } from './artifact-file';
import { pages } from './pages';
import type { CheckContext, CheckedStorage, Problem } from './problem';

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
    for (const [index, fault] of faults.entries()) yield asProblem(fault, uses[index]);
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
    found[index] = await findFault(storage, artifact, context);
  });
  return found.filter((fault) => fault !== undefined);
}

function asProblem({ artifact, kind, expected, found }: Fault, use?: Use): Problem {
  const path = artifactKey(artifact.sha256);
  const { content, repository } = { content: use?.content ?? null, repository: use?.repository ?? null };
  const of = content === null ? 'which no content has' : `file "${use?.path ?? ''}" of content ${content}`;
  const where = repository === null ? '' : ` in repository "${repository}"`;
  return {
    kind,
    message: `Artifact ${artifact.key} (${of}${where}) has to lie in the storage as ${path}: expected ${expected}, found ${found}.`,
    mend: `Download it again, where a remote still has it: penstock repair${repository === null ? '' : ` ${quoted(repository)}`}`,
    ...{ repository, content, artifact: artifact.key, path, expected, found },
  };
}

function storageMissing({ place }: CheckContext): Problem {
  const path = describePlace(place);
  return {
    kind: 'storageMissing',
    message: `There are artifacts, and no storage at ${path}: their files were not checked.`,
    mend: 'Mount it, set PENSTOCK_STORAGE to where it is, or run this on a machine that runs a worker.',
    ...{ path, expected: 'a folder', found: 'nothing' },
  };
}
