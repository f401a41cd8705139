/** A path that no file of a distribution can have. */
export interface RefusedPath {
  readonly status: 400 | 414;
  readonly message: string;
}

/** Bytes of a path, encoded; a path of a file system has 4,096 at most, and each may be written with three. */
const longest = 8 * 1024;
/** Characters of a path, decoded. */
const longestDecoded = 4096;

/**
 * The path of a request's target, decoded once (RFC 3986, 2.4) and in the one form that names a file: whatever might be read as
 * another path by anyone is refused rather than mended.
 *
 * @param target - as it stands in the request line: a path with a query, or a whole url
 */
export function readPath(target: string): string | RefusedPath {
  if (target.length > longest) return { status: 414, message: `A path has ${longest} bytes at most.` };
  const encoded = pathOf(target);
  if (encoded === undefined) return refuse('is no path');
  if (/%(?:2f|5c)/i.test(encoded)) return refuse('holds an encoded slash, or a backslash');
  let path: string;
  try {
    path = /^[\x20-\x7e]*$/.test(encoded) ? decodeURIComponent(encoded) : decodeRaw(encoded);
  } catch {
    return refuse('is not UTF-8, or holds an escape that is none');
  }
  if (path.length > longestDecoded) {
    return { status: 414, message: `A path has ${longestDecoded} characters at most.` };
  }
  if (/[\u0000-\u001f\u007f-\u009f]/.test(path)) return refuse('holds a control character');
  if (path.includes('\\')) return refuse('holds a backslash');
  if (/\/(?:\.\.?)?\/|\/\.\.?$/.test(path)) return refuse('holds an empty name, or one of dots');
  return path;
}

function pathOf(target: string): string | undefined {
  const end = target.search(/[?#]/);
  const whole = end === -1 ? target : target.slice(0, end);
  if (whole.startsWith('/')) return whole;
  return /^https?:\/\/[^/]+(\/.*)$/i.exec(whole)?.[1];
}

/** Some clients send UTF-8 as it is; Node shows each byte of it as a character. */
function decodeRaw(encoded: string): string {
  return decodeURIComponent(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(encoded, 'latin1')));
}

function refuse(why: string): RefusedPath {
  return { status: 400, message: `The path ${why}.` };
}

/** A path as it stands in a url; slashes stay. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}
