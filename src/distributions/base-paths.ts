import { InvalidValue } from '../repositories/errors';

/** Bytes of UTF-8: a segment as file systems have them, a path that leaves room in a url for those of files. */
const longestSegment = 255;
const longestPath = 1000;

/**
 * Checks a base path: segments between single slashes, each of which reads the same in a url, in a path and in the settings of a
 * package manager.
 *
 * @throws {@link InvalidValue}
 */
export function checkBasePath(path: string): string {
  const fault = faultOfPath(path);
  if (fault === undefined) return path;
  const found = path.slice(0, 200);
  throw new InvalidValue('base path', `${fault}; found ${JSON.stringify(found)}.`, {
    expected: 'segments with a slash between them, such as debian/stable',
    found,
  });
}

function faultOfPath(path: string): string | undefined {
  if (path === '') return 'it is empty';
  if (path.startsWith('/') || path.endsWith('/')) return 'it begins or ends with a slash';
  // Control, format, unassigned and private characters, and halves of one.
  if (/\p{C}/u.test(path)) return 'it has a character that is not printed';
  if (/\s/.test(path)) return 'it has white space, which ends a url in the settings of package managers';
  const special = /[\\%?#]/.exec(path)?.[0];
  if (special !== undefined)
    return `it has a ${JSON.stringify(special)}, which means something else in a url or a path`;
  if (path.normalize('NFC') !== path) return 'it is not in Unicode normal form C';
  if (Buffer.byteLength(path) > longestPath) return `it is longer than ${longestPath} bytes`;
  for (const segment of path.split('/')) {
    if (segment === '') return 'it has two slashes next to each other';
    if (segment === '.' || segment === '..') return `it has a segment "${segment}", which means a folder`;
    if (Buffer.byteLength(segment) > longestSegment) return `it has a segment of more than ${longestSegment} bytes`;
  }
  return undefined;
}
