import type { Readable } from 'node:stream';

import type { Digests } from '../downloads/digests';
import type { Migration } from '../models/migrate';
import type { Policy } from '../models/repository-models';
import type { ContentKey, ContentType, DeclaredContent } from './content-type';
import type { OwnStage } from './own-stage';
import { faultOfPipeline, standardPipeline } from './pipeline';

export { standardPipeline };
export type { StandardStage } from './pipeline';

/** A file that belongs to a declared content. The known digests and the size are validated when it is downloaded. */
export interface DeclaredArtifact extends Digests {
  /** Where it can be fetched: one url, or several that are tried in turn. */
  readonly url: string | readonly string[];
  /** Its path in the repository: relative, `/` between segments, no `.` or `..`. */
  readonly relativePath: string;
  /** Bytes. */
  readonly size?: number;
  /** Whether it is downloaded later, at a client's first request. Absent: as the remote's policy says. */
  readonly deferred?: boolean;
}

/** What a first stage yields: one content with its files. */
export interface DeclaredUnit {
  readonly content: DeclaredContent;
  readonly artifacts?: readonly DeclaredArtifact[];
  /** The step of the first stage that goes on from this content once it is saved: a content future. */
  readonly then?: string;
  /** Contents that this one refers to, by a name for the relation; they must be in the version when it completes. */
  readonly references?: Readonly<Record<string, readonly ContentKey[]>>;
}

/** What a plugin may know of the remote that is synced. */
export interface RemoteSummary {
  readonly name: string;
  readonly url: string;
  readonly policy: Policy;
}

/** A metadata file, pinned for the sync: after a crash the same bytes are read again. */
export interface MetadataFile {
  readonly url: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
  stream(): Readable;
}

/** A content whose future has resolved: it is saved, and so are those of its files that are not deferred. */
export interface ResolvedContent {
  readonly content: DeclaredContent;
  readonly artifacts: readonly {
    readonly relativePath: string;
    readonly sha256: string | null;
    stream(): Readable;
  }[];
}

/** What a step of a first stage works with. */
export interface StepContext {
  readonly remote: RemoteSummary;
  /**
   * Fetches a metadata file, once for the whole sync.
   *
   * @throws {@link DownloadError} when the remote's retries are used up.
   */
  readonly metadata: (url: string) => Promise<MetadataFile>;
  /** The contents that this step goes on from; empty for `start`. */
  readonly resolved: AsyncIterable<ResolvedContent>;
  readonly signal: AbortSignal;
}

/**
 * Declares content. After a crash a step runs again from its beginning, over the same metadata and the same resolved
 * contents, and has to yield the same units in the same order; what was staged already is skipped.
 */
export type Step = (context: StepContext) => AsyncIterable<DeclaredUnit>;

/** A content plugin. */
export interface Plugin {
  readonly name: string;
  readonly contents: readonly ContentType[];
  readonly firstStage: Readonly<Record<string, Step>> & { readonly start: Step };
  /** Stages of its own, by the names that its pipeline uses. */
  readonly stages: Readonly<Record<string, OwnStage>>;
  /** The stages in the order in which they run. */
  readonly pipeline: readonly string[];
  /** Statements inside the transaction that saves contents, for related rows that are no content. */
  readonly saveHooks: SaveHooks;
  readonly migrations: readonly Migration[];
  hasContent(type: string): boolean;
  /** @throws Error where it has no such type. */
  content(type: string): ContentType;
}

/** SQL against one batch, inside a stage's transaction. */
export interface BatchSql {
  /** The batch; the key of the staging tables. */
  readonly batchId: string;
  readonly query: <Row extends object = Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ) => Promise<Row[]>;
}

/**
 * Both see the new contents as `select … from whole_units where batch_id = $1 and not known`. They may run twice, and beside
 * those of other syncs: insert in a fixed order, `on conflict do nothing`.
 */
export interface SaveHooks {
  /** Before the contents are inserted; may complete their `fields`. */
  readonly before?: (sql: BatchSql) => Promise<void>;
  /** After they were inserted, under the `content_id` that they keep. */
  readonly after?: (sql: BatchSql) => Promise<void>;
}

type PluginDefinition = Pick<Plugin, 'name' | 'firstStage'> &
  Partial<Pick<Plugin, 'stages' | 'pipeline' | 'saveHooks' | 'migrations'>> & {
    readonly contents: readonly unknown[];
  };

/**
 * Checks a plugin's definition and fills in what it leaves to the standard.
 *
 * @throws Error where a name is used twice, or the pipeline could not work: see {@link faultOfPipeline}.
 */
export function definePlugin(definition: PluginDefinition): Plugin {
  const { name, firstStage, stages = {}, pipeline = standardPipeline, saveHooks = {}, migrations = [] } = definition;
  const contents = definition.contents as readonly ContentType[];
  const byName = new Map(contents.map((content) => [content.name, content]));
  const fault =
    (byName.size < contents.length ? 'two content types have the same name' : undefined) ??
    faultOfPipeline(pipeline, Object.keys(stages), Object.keys(firstStage));
  if (fault) throw new Error(`Plugin "${name}": ${fault}.`);
  return {
    ...definition,
    contents,
    stages,
    pipeline,
    saveHooks,
    migrations,
    hasContent: (type) => byName.has(type),
    content(type) {
      const content = byName.get(type);
      if (!content) throw new Error(`Plugin "${name}" has no content type "${type}".`);
      return content;
    },
  };
}

/** A pipeline with one more stage, right before another. */
export function insertStage(
  pipeline: readonly string[],
  stage: string,
  { before }: { readonly before: string },
): string[] {
  const index = pipeline.indexOf(before);
  if (index < 0) throw new Error(`There is no stage "${before}" in the pipeline.`);
  return [...pipeline.slice(0, index), stage, ...pipeline.slice(index)];
}
