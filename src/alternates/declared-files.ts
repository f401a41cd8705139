import { Readable } from 'node:stream';

import type { Queryable } from '../models/database';
import { checkUnit } from '../plugins/declared-unit';
import type { CheckedArtifact, CheckedUnit } from '../plugins/declared-unit';
import { InvalidMetadata } from '../plugins/invalid-metadata';
import type { DeclaredUnit, Plugin, RemoteSummary, ResolvedContent, StepContext } from '../plugins/plugin';
import { inBatches } from '../staging/unit-batches';
import { artifactKey } from '../storage/storage';
import type { Storage } from '../storage/storage';

/** What a first stage is run with where nothing of what it declares is saved. */
export interface Exploration {
  readonly plugin: Plugin;
  readonly remote: RemoteSummary;
  readonly metadata: StepContext['metadata'];
  readonly pool: Queryable;
  readonly storage: Pick<Storage, 'sizeOf' | 'read'>;
  readonly signal: AbortSignal;
}

/** Files that a first stage has declared. */
export interface DeclaredFiles {
  readonly files: readonly CheckedArtifact[];
  /** Contents whose step could not run. */
  readonly unexplored: number;
}

/** Steps that lead to one another at most: metadata that names itself would never come to an end. */
const deepest = 100;

/**
 * Runs the first stage, and after each batch the steps that go on from its contents where their files are stored already, as
 * after any sync of the same. Only one batch of each step is held at a time.
 *
 * @throws {@link InvalidMetadata}, {@link DownloadFailed}, the signal's reason
 */
export function declaredFiles(exploration: Exploration): AsyncGenerator<DeclaredFiles> {
  return runStep(exploration, 'start', [], 0);
}

async function* runStep(
  exploration: Exploration,
  name: string,
  resolved: readonly ResolvedContent[],
  depth: number,
): AsyncGenerator<DeclaredFiles> {
  const { plugin, remote, metadata, signal } = exploration;
  const step = plugin.firstStage[name];
  if (!step) throw new Error(`the first stage of "${plugin.name}" has no step "${name}"`);
  if (depth > deepest)
    throw new InvalidMetadata(`its contents lead to more contents over more than ${deepest} levels.`, {
      url: remote.url,
    });
  const source = { url: remote.url, deferred: remote.policy !== 'immediate' };
  const check = (unit: DeclaredUnit) => checkUnit(unit, plugin, source);
  const declared = step({
    remote,
    metadata,
    resolved: Readable.from(resolved) as AsyncIterable<ResolvedContent>,
    signal,
  });
  for await (const units of inBatches(declared, { skipped: 0, check, signal })) {
    const leading = units.filter((unit) => unit.step !== null);
    const next = await resolve(exploration, leading);
    yield { files: units.flatMap(({ artifacts }) => artifacts), unexplored: leading.length - next.length };
    for (const then of new Set(next.map((unit) => unit.step))) {
      const contents = next.filter((unit) => unit.step === then).map(({ content }) => content);
      yield* runStep(exploration, then, contents, depth + 1);
    }
  }
}

interface LeadingContent {
  readonly step: string;
  readonly content: ResolvedContent;
}

/** Those of the units whose files are at hand, but for the deferred ones, which no step can read. */
async function resolve(
  { pool, storage }: Exploration,
  units: readonly CheckedUnit[],
): Promise<readonly LeadingContent[]> {
  const wanted = units.flatMap(({ artifacts }) => artifacts.filter(({ deferred }) => !deferred));
  const { rows } = await pool.query<{ sha256: string }>('select sha256 from artifacts where sha256 = any($1::text[])', [
    wanted.flatMap(({ digests }) => digests.sha256 ?? []),
  ]);
  const stored = new Set<string>();
  for (const { sha256 } of rows) if ((await storage.sizeOf(artifactKey(sha256))) !== undefined) stored.add(sha256);
  const atHand = ({ deferred, digests }: CheckedArtifact) => deferred || stored.has(digests.sha256 ?? '');
  return units.flatMap(({ content, artifacts, step }) =>
    step !== null && artifacts.every(atHand)
      ? [{ step, content: { content, artifacts: artifacts.map((file) => resolvedFile(storage, file)) } }]
      : [],
  );
}

function resolvedFile(
  storage: Exploration['storage'],
  { relativePath, digests, deferred }: CheckedArtifact,
): ResolvedContent['artifacts'][number] {
  const sha256 = deferred ? null : (digests.sha256 ?? null);
  return {
    relativePath,
    sha256,
    stream: () => {
      if (sha256 === null) throw new Error(`"${relativePath}" is deferred, so there is nothing to read yet.`);
      return storage.read(artifactKey(sha256));
    },
  };
}
