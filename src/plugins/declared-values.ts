/** Longest relative path, in bytes of UTF-8: Linux's PATH_MAX. */
const maxPathBytes = 4096;
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
  if (Buffer.byteLength(path) > maxPathBytes) return `the path is longer than ${maxPathBytes} bytes`;
  for (const segment of path.split('/')) {
    if (segment === '') return 'the path has an empty segment';
    if (segment === '.' || segment === '..') return `the path has a segment "${segment}"`;
    if (Buffer.byteLength(segment) > maxSegmentBytes)
      return `a segment of the path is longer than ${maxSegmentBytes} bytes`;
  }
  return undefined;
}

/** What is wrong with a size in bytes, or `undefined`. */
export function faultOfSize(size: number): string | undefined {
  if (size < 0) return 'the size is negative';
  return Number.isSafeInteger(size) ? undefined : 'the size is not a whole number of bytes below 2^53';
}

/** What is wrong with a url that upstream or a user gave, or `undefined`. */
export function faultOfUrl(url: string): string | undefined {
  if (!URL.canParse(url)) return 'it is not a url';
  const { protocol, username, password } = new URL(url);
  if (!['http:', 'https:', 'file:'].includes(protocol))
    return `the scheme "${protocol.slice(0, -1)}" is none of http, https, file`;
  return username || password ? 'the url has credentials inside; set them on the remote instead' : undefined;
}
