import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

let known: string | undefined;

/** `penstock/<version>`: how Penstock names itself to upstream servers. */
export function userAgent(): string {
  known ??= `penstock/${readVersion(__dirname)}`;
  return known;
}

/** The version in Penstock's own package.json, which lies above the sources and, one folder further up, above `dist`. */
function readVersion(folder: string): string {
  try {
    const found = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { name?: string; version?: string };
    if (found.name === 'penstock' && found.version) return found.version;
  } catch {
    // Not here: look further up.
  }
  const above = dirname(folder);
  return above === folder ? 'unknown' : readVersion(above);
}
