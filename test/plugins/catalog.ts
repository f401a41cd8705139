import { json } from 'node:stream/consumers';
import type { Readable } from 'node:stream';

import { defineContent } from '../../src/plugins/content-type';
import { definePlugin } from '../../src/plugins/plugin';
import type { DeclaredUnit, Plugin, RemoteSummary, Step } from '../../src/plugins/plugin';
import type { Digests } from '../../src/downloads/digests';

/** Something that a catalog lists; every field of its natural key but the name may be null. */
export const Entry = defineContent({
  name: 'catalog.entry',
  table: 'catalog_entries',
  fields: {
    name: 'text',
    version: 'text?',
    edition: 'integer?',
    labels: 'text[]?',
    extra: 'jsonb?',
    signed: 'boolean?',
    note: 'text?',
  },
  naturalKey: ['name', 'version', 'edition', 'labels', 'extra', 'signed'],
});

/** An entry as a catalog has it. */
export interface CatalogEntry {
  readonly name: string;
  readonly version?: string;
  readonly edition?: number;
  readonly labels?: readonly string[];
  readonly extra?: unknown;
  readonly signed?: boolean;
  readonly note?: string;
  readonly files?: readonly CatalogFile[];
  /** A step that goes on from it: `open` where one of its files is a catalog itself. */
  readonly then?: string;
  readonly needs?: readonly { readonly name: string; readonly version?: string }[];
}

export interface CatalogFile extends Digests {
  readonly path: string;
  /** Relative to the catalog; its path, where absent. */
  readonly urls?: readonly string[];
  readonly size?: number;
  readonly deferred?: boolean;
}

/** Catalogs: JSON files that list entries, some of which are catalogs again. Shows what `file` does not use. */
export const catalog = definePlugin({
  name: 'catalog',
  contents: [Entry],
  migrations: [
    {
      name: '0001-catalog-entries',
      sql: `
create table catalog_entries (
  content_id bigint primary key references contents on delete cascade,
  name text not null,
  version text,
  edition integer,
  labels text[],
  extra jsonb,
  signed boolean,
  note text,
  unique nulls not distinct (name, version, edition, labels, extra, signed)
);
`,
    },
  ],
  firstStage: { start, open },
});

type Variant = Partial<Pick<Plugin, 'pipeline' | 'stages' | 'saveHooks'>> & {
  readonly steps?: Readonly<Record<string, Step>>;
  readonly start?: Step;
};

/** The catalog plugin with other stages or steps, over the same table. */
export function catalogVariant(name: string, { steps = { open }, start: begin = start, ...rest }: Variant): Plugin {
  return definePlugin({ name, contents: [Entry], firstStage: { ...steps, start: begin }, ...rest });
}

async function* start({ remote, metadata }: Parameters<Step>[0]): AsyncGenerator<DeclaredUnit> {
  const file = await metadata(remote.url);
  yield* unitsOf(await readCatalog(file.stream()), remote);
}

async function* open({ remote, resolved }: Parameters<Step>[0]): AsyncGenerator<DeclaredUnit> {
  for await (const { artifacts } of resolved) {
    for (const artifact of artifacts) yield* unitsOf(await readCatalog(artifact.stream()), remote);
  }
}

async function readCatalog(stream: Readable): Promise<readonly CatalogEntry[]> {
  return (await json(stream)) as CatalogEntry[];
}

function* unitsOf(entries: readonly CatalogEntry[], remote: RemoteSummary): Generator<DeclaredUnit> {
  for (const entry of entries) yield declareEntry(entry, remote);
}

/** The unit of an entry, its files' urls relative to the remote's. */
export function declareEntry(entry: CatalogEntry, remote: { readonly url: string }): DeclaredUnit {
  const { name, version = null, edition = null, labels = null, extra = null, signed = null, note = null } = entry;
  return {
    content: Entry.declare({ name, version, edition, labels, extra, signed, note }),
    artifacts: (entry.files ?? []).map(({ path, urls = [path], ...file }) => ({
      ...file,
      relativePath: path,
      url: urls.map((url) => new URL(url, remote.url).href),
    })),
    ...(entry.then === undefined ? {} : { then: entry.then }),
    ...(entry.needs ? { references: { needs: entry.needs.map((need) => Entry.key(need)) } } : {}),
  };
}
