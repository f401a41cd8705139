import { InvalidValue } from '../repositories/errors';
import { faultOfPath } from '../plugins/declared-values';
import { urlBeside } from '../plugins/url-beside';

/** Paths of an alternate content source at most. */
const mostPaths = 1000;

/** @throws {@link InvalidValue} where a path would lead elsewhere than below the remote's url */
export function checkPaths(paths: readonly string[]): void {
  if (paths.length > mostPaths)
    throw new InvalidValue('path', `at most ${mostPaths} are possible; found ${paths.length}.`);
  for (const [index, path] of paths.entries()) {
    const found = path.slice(0, 200);
    const expected = 'a relative path below the url of the remote, such as files/PULP_MANIFEST';
    const fault = faultOfPath(path) ?? (paths.indexOf(path) < index ? 'the path is given twice' : undefined);
    if (fault !== undefined)
      throw new InvalidValue('path', `${fault}; expected ${expected}; found ${JSON.stringify(found)}.`, {
        expected,
        found,
      });
  }
}

/** The url of a path's metadata: below the url of the remote, whether or not that ends with a slash; a query stays. */
export function metadataUrlAt(remoteUrl: string, path: string | undefined): string {
  if (path === undefined) return remoteUrl;
  const base = new URL(remoteUrl);
  base.pathname = base.pathname.replace(/\/*$/, '/');
  const url = new URL(urlBeside(base.href, path));
  url.search = base.search;
  return url.href;
}
