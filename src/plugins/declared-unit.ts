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
/** Bytes of a content's fields as JSON at most: what is larger is no metadata, and would fill the memory of every stage. */
const maxFieldsBytes = 16 * 1024 ** 2;
/** Characters of a value that a message shows. */
const maxShown = 200;

/** A unit that was checked and is ready to be staged. */
export interface CheckedUnit {
  readonly content: DeclaredContent;
  /** Bytes of the content's fields as JSON. */
  readonly bytes: number;
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

  if (!isRecord(unit) || !isRecord(unit.content)) {
    throw new InvalidMetadata(`what was declared is no unit with a content: ${shown(unit)}.`, { url: source.url });
  }
  const bytes = checkContent(unit.content, plugin, fault);
  if (unit.then !== undefined && (unit.then === 'start' || !Object.hasOwn(plugin.firstStage, unit.then))) {
    throw fault(`its future names the step "${unit.then}", which the first stage of "${plugin.name}" does not have`);
  }

  return {
    content: unit.content,
    bytes,
    artifacts: checkArtifacts(unit.artifacts ?? [], source.deferred, fault),
    step: unit.then ?? null,
    references: checkReferences(unit, plugin, fault),
  };
}

/** Makes the error that names the content. */
export type Fault = (what: string, details?: ErrorDetails) => Error;

/**
 * Checks a content's type and fields: PostgreSQL would refuse them too, but with the whole batch, and without a name.
 *
 * @returns the bytes of the fields as JSON.
 */
export function checkContent({ type, fields }: DeclaredContent, plugin: Plugin, fault: Fault): number {
  if (!plugin.hasContent(type)) throw fault(`"${plugin.name}" has no such content type`);
  if (!isRecord(fields)) throw fault('its fields are no object');
  checkFields(fields, plugin.content(type), fault);
  const bytes = jsonBytesOf(fields, fault);
  if (bytes > maxFieldsBytes)
    throw fault(`its fields have ${bytes} bytes as JSON; at most ${maxFieldsBytes} are possible`);
  return bytes;
}

function jsonBytesOf(fields: DeclaredContent['fields'], fault: Fault): number {
  try {
    return Buffer.byteLength(JSON.stringify(fields));
  } catch (error) {
    throw fault(`its fields cannot be written as JSON (${asError(error).message.slice(0, maxShown)})`);
  }
}

/** Checks the files of one content. */
export function checkArtifacts(
  declared: readonly DeclaredArtifact[],
  deferred: boolean,
  fault: Fault,
): readonly CheckedArtifact[] {
  if (!isList(declared)) throw fault('its artifacts are no list');
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
  return Object.entries(unit.references ?? {}).flatMap(([name, keys]) => {
    if (!isList(keys)) throw fault(`its reference "${name}" is no list of keys`);
    return keys.map((reference) => {
      if (!isRecord(reference) || !isRecord(reference.key)) {
        throw fault(`its reference "${name}" has what is no type with a key: ${shown(reference)}`);
      }
      const { type: typeName, key } = reference;
      if (!plugin.hasContent(typeName)) throw fault(`its reference "${name}" is to the unknown type "${typeName}"`);
      for (const column of plugin.content(typeName).naturalKey) {
        const found = faultOfField(column, key[column.field]);
        if (found) throw fault(`its reference "${name}": ${found}`);
      }
      return { type: typeName, key, name };
    });
  });
}

function checkArtifact(artifact: DeclaredArtifact, deferred: boolean, fault: Fault): CheckedArtifact {
  if (!isRecord(artifact)) throw fault(`one of its artifacts is no object: ${shown(artifact)}`);
  const { relativePath: path, size } = artifact;
  if (!isText(path)) throw fault(`one of its artifacts has no text for a path: ${shown(path)}`);
  const urls = (isList(artifact.url) ? artifact.url : [artifact.url]) as readonly string[];
  const faultOfFile = (what: string) => fault(`${shown(path)}: ${what}`, { path: path.slice(0, maxShown) });
  if (urls.length === 0) throw faultOfFile('it has no url');
  const noText = urls.findIndex((url) => !isText(url));
  if (noText >= 0) throw faultOfFile(`its url is no text: ${shown(urls[noText])}`);
  const found = [faultOfPath(path), size === undefined ? undefined : faultOfSize(size), ...urls.map(faultOfUrl)].find(
    (each) => each !== undefined,
  );
  if (found) throw faultOfFile(found);
  const later: unknown = artifact.deferred ?? deferred;
  if (typeof later !== 'boolean') throw faultOfFile(`deferred is neither true nor false: ${shown(later)}`);
  const digests = checkDigests(artifact, faultOfFile);
  return { relativePath: path, urls, size: size ?? null, digests, deferred: later };
}

function checkDigests(artifact: DeclaredArtifact, faultOfFile: (what: string) => Error): Digests {
  const digests: Partial<Record<keyof Digests, string>> = {};
  for (const name of digestNames) {
    const digest = artifact[name];
    if (digest === undefined) continue;
    if (!isText(digest)) throw faultOfFile(`its ${name} is no text: ${shown(digest)}`);
    try {
      digests[name] = parseDigest(name, digest);
    } catch (error) {
      throw faultOfFile(asError(error).message.replace(/\.$/, ''));
    }
  }
  return digests;
}

// Types are a promise that plugins in JavaScript, and casts of what upstream sent, do not keep.
const isRecord = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): boolean => typeof value === 'string';
const isList = (value: unknown): boolean => Array.isArray(value);

/** A content by its type and natural key, as messages name it. */
export function nameOf({ type, fields }: DeclaredContent, plugin: Plugin): string {
  if (!plugin.hasContent(type)) return shown(type);
  if (!isRecord(fields)) return type;
  const key = plugin.content(type).naturalKey.map(({ field }) => [field, fields[field]]);
  return `${type} ${shown(Object.fromEntries(key))}`;
}

function shown(value: unknown): string {
  const text = jsonOf(value);
  return text.length > maxShown ? `${text.slice(0, maxShown)}…` : text;
}

/** For messages: also of what JSON cannot hold. */
function jsonOf(value: unknown): string {
  try {
    const json: unknown = JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? `${each}n` : each));
    return typeof json === 'string' ? json : String(value);
  } catch {
    return '(what JSON cannot hold)';
  }
}
