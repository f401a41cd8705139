import type { Column } from './content-type';

/** Longest relative path, in bytes of UTF-8: with a digest beside it, it still fits into an index of PostgreSQL. */
const maxPathBytes = 2048;
/** Longest segment of a path, in bytes of UTF-8: NAME_MAX of most file systems. */
const maxSegmentBytes = 255;

/**
 * What is wrong with a relative path from upstream, or `undefined`. Such a path becomes part of urls and of what clients
 * write to their disks, so nothing that means something else than a name on some system is let through.
 */
export function faultOfPath(path: string): string | undefined {
  if (path === '') return 'the path is empty';
  if (path.startsWith('/')) return 'the path is absolute';
  if (path.includes('\\')) return 'the path has a backslash';
  if (/[\u0000-\u001f\u007f-\u009f]/.test(path)) return 'the path has a control character';
  if (!isWellFormed(path)) return 'the path is not Unicode text';
  if (Buffer.byteLength(path) > maxPathBytes) return `the path is longer than ${maxPathBytes} bytes`;
  for (const segment of path.split('/')) {
    if (segment === '') return 'the path has an empty segment';
    if (segment === '.' || segment === '..') return `the path has a segment "${segment}"`;
    if (Buffer.byteLength(segment) > maxSegmentBytes)
      return `a segment of the path is longer than ${maxSegmentBytes} bytes`;
  }
  return undefined;
}

/** Bytes of a file at most: 1 PiB. What is larger is a mistake, and no disk would bound the download. */
const maxSize = 2 ** 50;

/** What is wrong with a size in bytes, or `undefined`. */
export function faultOfSize(size: number): string | undefined {
  if (size < 0) return 'the size is negative';
  if (size > maxSize) return `the size is larger than 1 PiB (${maxSize} bytes)`;
  return Number.isInteger(size) ? undefined : 'the size is not a whole number of bytes';
}

/** Of a url's characters: as many as servers take in a request line. */
const longestUrl = 8192;

/** What is wrong with a url that upstream or a user gave, or `undefined`. */
export function faultOfUrl(url: string): string | undefined {
  // The URL standard drops line breaks and escapes the rest; the text itself is stored, though, and shown.
  if (/[\u0000-\u001f\u007f]/.test(url)) return 'the url has a control character';
  if (!isWellFormed(url)) return 'the url is not Unicode text';
  if (url.length > longestUrl) return `the url is longer than ${longestUrl} characters`;
  if (!URL.canParse(url)) return 'it is not a url';
  const { protocol, username, password } = new URL(url);
  if (!['http:', 'https:', 'file:'].includes(protocol))
    return `the scheme "${protocol.slice(0, -1)}" is none of http, https, file`;
  return username || password ? 'the url has credentials inside; set them on the remote instead' : undefined;
}

/** What is wrong with the value of a content's field, or `undefined`: PostgreSQL has to be able to hold it. */
export function faultOfField({ field, type }: Column, value: unknown): string | undefined {
  const text = faultOfText(value);
  if (text !== undefined) return `${field} ${text}`;
  if (value === undefined || value === null) return undefined;
  switch (type) {
    case 'text':
      return typeof value === 'string' ? undefined : `${field} is not a text`;
    case 'integer':
      return Number.isInteger(value) && Math.abs(value as number) < 2 ** 31
        ? undefined
        : `${field} is not a whole number below 2^31`;
    case 'boolean':
      return typeof value === 'boolean' ? undefined : `${field} is neither true nor false`;
    case 'text[]':
      return Array.isArray(value) && value.every((each) => typeof each === 'string')
        ? undefined
        : `${field} is not a list of texts`;
    case 'jsonb':
      return undefined;
  }
}

/** Levels of lists and objects in one field at most: what is deeper cannot be written as JSON at some point. */
const maxDepth = 100;

/** What is wrong with the texts in a value, however deep, or `undefined`. */
function faultOfText(value: unknown, depth = 0): string | undefined {
  if (typeof value === 'string') {
    if (value.includes('\u0000')) return 'has a NUL';
    return isWellFormed(value) ? undefined : 'is not Unicode text';
  }
  if (typeof value === 'bigint') return 'has a BigInt, which JSON cannot hold';
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth === maxDepth) return `has more than ${maxDepth} levels`;
  for (const each of Object.entries(value).flat()) {
    const fault = faultOfText(each, depth + 1);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Whether a text has no half of a surrogate pair: such a half cannot be written as UTF-8. */
function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
