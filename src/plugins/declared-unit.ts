import { digestNames, parseDigest } from '../downloads/digests';
import type { Digests } from '../downloads/digests';
import { asError } from '../errors';
import type { ErrorDetails } from '../errors';
import { InvalidMetadata } from './invalid-metadata';
import { faultOfField, faultOfPath, faultOfSize, faultOfUrl } from './declared-values';
import type { ContentKey, ContentType, DeclaredContent } from './content-type';
import type { DeclaredArtifact, DeclaredUnit, Plugin } from './plugin';

/** Bytes of a natural key at most: PostgreSQL's B-tree holds entries of up to 2,704 bytes. */
const maxKeyBytes = 2500;
/** Characters of a value that a message shows. */
const maxShown = 200;

/** A unit that was checked and is ready to be staged. */
export interface CheckedUnit {
  readonly content: DeclaredContent;
  readonly artifacts: readonly CheckedArtifact[];
  readonly step: string | null;
  readonly references: readonly (ContentKey & { readonly name: string })[];
}

export interface CheckedArtifact {
  readonly relativePath: string;
  readonly urls: readonly string[];
  readonly size: number | null;
  readonly digests: Digests;
  readonly deferred: boolean;
}

/**
 * Checks what a first stage has declared. Whatever upstream's metadata says reaches the database only through here.
 *
 * @throws {@link InvalidMetadata} naming the content and what is wrong with it.
 */
export function checkUnit(
  unit: DeclaredUnit,
  plugin: Plugin,
  source: { readonly url: string; readonly deferred: boolean },
): CheckedUnit {
  const fault = (what: string, details: ErrorDetails = {}): InvalidMetadata =>
    new InvalidMetadata(`${nameOf(unit.content, plugin)}: ${what}.`, { ...details, url: source.url });

  checkContent(unit.content, plugin, fault);
  if (unit.then !== undefined && (unit.then === 'start' || !Object.hasOwn(plugin.firstStage, unit.then))) {
    throw fault(`its future names the step "${unit.then}", which the first stage of "${plugin.name}" does not have`);
  }

  return {
    content: unit.content,
    artifacts: checkArtifacts(unit.artifacts ?? [], source.deferred, fault),
    step: unit.then ?? null,
    references: checkReferences(unit, plugin, fault),
  };
}

/** Makes the error that names the content. */
export type Fault = (what: string, details?: ErrorDetails) => Error;

/** Checks a content's type and fields: PostgreSQL would refuse them too, but with the whole batch, and without a name. */
export function checkContent({ type, fields }: DeclaredContent, plugin: Plugin, fault: Fault): void {
  if (!plugin.hasContent(type)) throw fault(`"${plugin.name}" has no such content type`);
  checkFields(fields, plugin.content(type), fault);
}

/** Checks the files of one content. */
export function checkArtifacts(
  declared: readonly DeclaredArtifact[],
  deferred: boolean,
  fault: Fault,
): readonly CheckedArtifact[] {
  const artifacts = declared.map((artifact) => checkArtifact(artifact, deferred, fault));
  const paths = new Set<string>();
  for (const { relativePath: path } of artifacts) {
    if (paths.has(path)) throw fault(`two of its files have the path ${JSON.stringify(path)}`, { path });
    paths.add(path);
  }
  return artifacts;
}

function checkFields(fields: DeclaredContent['fields'], type: ContentType, fault: Fault): void {
  for (const column of type.columns) {
    const found = faultOfField(column, fields[column.field]);
    if (found) throw fault(found);
  }
  // A field that is no column is a save hook's: it is staged too.
  for (const [field, value] of Object.entries(fields)) {
    const found = faultOfField({ field, name: field, type: 'jsonb', nullable: true }, value);
    if (found) throw fault(found);
  }
  for (const { field, nullable } of type.naturalKey) {
    if (!nullable && (fields[field] ?? null) === null) throw fault(`${field} is missing`);
  }
  const bytes = type.naturalKey.reduce((sum, { field }) => sum + bytesOf(fields[field]), 0);
  if (bytes > maxKeyBytes) throw fault(`its natural key has ${bytes} bytes; at most ${maxKeyBytes} are possible`);
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(typeof value === 'string' ? value : JSON.stringify(value ?? null));
}

function checkReferences(unit: DeclaredUnit, plugin: Plugin, fault: Fault): CheckedUnit['references'] {
  return Object.entries(unit.references ?? {}).flatMap(([name, keys]) =>
    keys.map(({ type: typeName, key }) => {
      if (!plugin.hasContent(typeName)) throw fault(`its reference "${name}" is to the unknown type "${typeName}"`);
      for (const column of plugin.content(typeName).naturalKey) {
        const found = faultOfField(column, key[column.field]);
        if (found) throw fault(`its reference "${name}": ${found}`);
      }
      return { type: typeName, key, name };
    }),
  );
}

function checkArtifact(artifact: DeclaredArtifact, deferred: boolean, fault: Fault): CheckedArtifact {
  const { relativePath: path, size } = artifact;
  const urls = typeof artifact.url === 'string' ? [artifact.url] : artifact.url;
  const faultOfFile = (what: string) => fault(`${shown(path)}: ${what}`, { path: path.slice(0, maxShown) });
  if (urls.length === 0) throw faultOfFile('it has no url');
  const found = [faultOfPath(path), size === undefined ? undefined : faultOfSize(size), ...urls.map(faultOfUrl)].find(
    (each) => each !== undefined,
  );
  if (found) throw faultOfFile(found);
  const digests: Partial<Record<keyof Digests, string>> = {};
  for (const name of digestNames) {
    const digest = artifact[name];
    if (digest === undefined) continue;
    try {
      digests[name] = parseDigest(name, digest);
    } catch (error) {
      throw faultOfFile(asError(error).message.replace(/\.$/, ''));
    }
  }
  return { relativePath: path, urls, size: size ?? null, digests, deferred: artifact.deferred ?? deferred };
}

/** A content by its type and natural key, as messages name it. */
export function nameOf({ type, fields }: DeclaredContent, plugin: Plugin): string {
  if (!plugin.hasContent(type)) return shown(type);
  const key = plugin.content(type).naturalKey.map(({ field }) => [field, fields[field]]);
  return `${type} ${shown(Object.fromEntries(key))}`;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > maxShown ? `${text.slice(0, maxShown)}…` : text;
}
