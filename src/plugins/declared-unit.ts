import { digestNames, parseDigest } from '../downloads/digests';
import type { Digests } from '../downloads/digests';
import { asError } from '../errors';
import { InvalidMetadata } from './invalid-metadata';
import { faultOfPath, faultOfSize, faultOfUrl } from './declared-values';
import type { ContentKey, DeclaredContent } from './content-type';
import type { DeclaredArtifact, DeclaredUnit, Plugin } from './plugin';

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
  const type = plugin.content(unit.content.type);
  const fault = (what: string): InvalidMetadata =>
    new InvalidMetadata(`${unit.content.type} ${JSON.stringify(keyOf(unit, plugin))}: ${what}.`, { url: source.url });

  for (const { field, type: columnType } of type.columns) {
    const value = unit.content.fields[field];
    if (columnType === 'text' && typeof value === 'string' && value.includes('\u0000'))
      throw fault(`${field} has a NUL`);
  }
  if (unit.then !== undefined && (unit.then === 'start' || !Object.hasOwn(plugin.firstStage, unit.then))) {
    throw fault(`its future names the step "${unit.then}", which the first stage of "${plugin.name}" does not have`);
  }

  const artifacts = (unit.artifacts ?? []).map((artifact) => checkArtifact(artifact, source.deferred, fault));
  const paths = new Set(artifacts.map(({ relativePath }) => relativePath));
  if (paths.size < artifacts.length) throw fault('two of its files have the same path');

  return {
    content: unit.content,
    artifacts,
    step: unit.then ?? null,
    references: Object.entries(unit.references ?? {}).flatMap(([name, keys]) => keys.map((key) => ({ ...key, name }))),
  };
}

function checkArtifact(artifact: DeclaredArtifact, deferred: boolean, fault: (what: string) => Error): CheckedArtifact {
  const urls = typeof artifact.url === 'string' ? [artifact.url] : artifact.url;
  if (urls.length === 0) throw fault(`"${artifact.relativePath}" has no url`);
  const found = [
    faultOfPath(artifact.relativePath),
    artifact.size === undefined ? undefined : faultOfSize(artifact.size),
    ...urls.map(faultOfUrl),
  ].find((each) => each !== undefined);
  if (found) throw fault(`${JSON.stringify(artifact.relativePath)}: ${found}`);
  const digests: Partial<Record<keyof Digests, string>> = {};
  for (const name of digestNames) {
    const digest = artifact[name];
    if (digest === undefined) continue;
    try {
      digests[name] = parseDigest(name, digest);
    } catch (error) {
      throw fault(`${JSON.stringify(artifact.relativePath)}: ${asError(error).message}`);
    }
  }
  return {
    relativePath: artifact.relativePath,
    urls,
    size: artifact.size ?? null,
    digests,
    deferred: artifact.deferred ?? deferred,
  };
}

/** The natural key of a declared unit, as messages name it. */
function keyOf(unit: DeclaredUnit, plugin: Plugin): Record<string, unknown> {
  const { naturalKey } = plugin.content(unit.content.type);
  return Object.fromEntries(naturalKey.map(({ field }) => [field, unit.content.fields[field]]));
}
