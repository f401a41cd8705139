import { RefusedUrl } from './download-error';
import { displayUrl } from './display-url';

/** What may be fetched at all. */
const schemes: ReadonlySet<string> = new Set(['http:', 'https:', 'file:']);

/** Characters of a scheme that a message shows: it comes from upstream, and may be of any length. */
const longestScheme = 40;

/**
 * Reads a url that is to be fetched.
 *
 * @throws {@link RefusedUrl} where it is no url, has credentials inside, or a scheme other than http, https and file.
 */
export function parseUrl(url: string): URL {
  const parsed = tryParse(url);
  if (!parsed) throw new RefusedUrl(url, 'it is no absolute url', 'http://…, https://… or file:///…');
  if (!schemes.has(parsed.protocol)) {
    throw new RefusedUrl(
      url,
      `its scheme is ${parsed.protocol.slice(0, -1).slice(0, longestScheme)}`,
      'http, https or file',
    );
  }
  if (parsed.username || parsed.password) {
    throw new RefusedUrl(url, 'it has credentials inside', 'username and password as fields of the remote');
  }
  return parsed;
}

/** Read once, not checked first and then read: this is done for every file. */
function tryParse(url: string): URL | undefined {
  try {
    return new URL(url);
  } catch {
    return undefined;
  }
}

/**
 * Where a redirect leads to: a url like any other, but never a file.
 *
 * @param shown - the url that redirects, as errors show it
 * @throws {@link RefusedUrl}
 */
export function parseRedirect(from: URL, location: string, shown: string): URL {
  const refuse = (reason: string) =>
    new RefusedUrl(
      shown,
      `it redirects to ${displayUrl(location.replace(/[?#].*$/s, ''))}: ${reason}`,
      'http or https, without credentials',
    );
  if (!URL.canParse(location, from.href)) throw refuse('no url');
  const target = new URL(location, from);
  if (target.protocol !== 'http:' && target.protocol !== 'https:') throw refuse('another scheme');
  if (target.username || target.password) throw refuse('credentials inside');
  return target;
}
