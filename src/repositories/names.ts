import { InvalidValue } from './errors';

/** Bytes of UTF-8. A name becomes part of a workflow id, and of file names in places. */
const longestName = 200;

/**
 * Checks a name: any text on one line, but for what would mean something else in a path, a workflow id or on a command line.
 *
 * @throws {@link InvalidValue}
 */
export function checkName(
  kind: 'remote' | 'repository' | 'distribution' | 'token' | 'alternate content source',
  name: string,
): string {
  const fault = faultOfName(name);
  if (fault === undefined) return name;
  throw new InvalidValue(
    `name of ${kind.startsWith('a') ? 'an' : 'a'} ${kind}`,
    `${fault}; found ${JSON.stringify(name.slice(0, 200))}.`,
    {
      expected: 'text on one line, without a slash',
      found: name.slice(0, 200),
    },
  );
}

function faultOfName(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name.trim() !== name) return 'it begins or ends with white space';
  if (/[/\\]/.test(name)) return 'it has a slash or a backslash';
  // Control, format, unassigned and private characters, and separators of lines and paragraphs.
  if (/[\p{C}\p{Zl}\p{Zp}]/u.test(name)) return 'it has a character that is not printed';
  if (name.startsWith('-')) return 'it begins with a dash, like an option';
  if (name === '.' || name === '..') return 'it means a folder';
  if (Buffer.byteLength(name) > longestName) return `it is longer than ${longestName} bytes`;
  return name.normalize('NFC') === name ? undefined : 'it is not in Unicode normal form C';
}
