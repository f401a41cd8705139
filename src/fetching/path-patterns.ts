import { InvalidValue } from '../repositories/errors';

/** Characters of a pattern, and patterns, at most. */
const longest = 500;
const most = 100;

/**
 * Translates a glob into a regular expression of PostgreSQL that matches whole relative paths: `*` is any number of characters
 * within a folder, `?` one of them, `**` any number of characters across folders, and `**` with a slash behind it nothing, too.
 * Every other character stands for itself.
 */
export function patternOf(glob: string): string {
  const body = glob.replace(/\*\*\/|\*\*|\*|\?|[.+()[\]{}|^$\\]/g, (found) => translations[found] ?? `\\${found}`);
  return `^${body}$`;
}

const translations: Readonly<Record<string, string>> = {
  '**/': '(.*/)?',
  '**': '.*',
  '*': '[^/]*',
  '?': '[^/]',
};

/** @throws {@link InvalidValue} where a glob can match no path, or there are too many */
export function checkGlobs(globs: readonly string[]): void {
  if (globs.length > most) {
    throw new InvalidValue('filter', `at most ${most} patterns are possible.`, { found: String(globs.length) });
  }
  for (const glob of globs) {
    if (glob !== '' && glob.length <= longest && !glob.startsWith('/') && !glob.includes('\0')) continue;
    throw new InvalidValue(
      'filter',
      `"${glob.slice(0, longest)}" matches no path: a pattern is of a relative path, as *.iso or dists/**, in ${longest} characters at most.`,
      { found: glob.slice(0, longest) },
    );
  }
}
