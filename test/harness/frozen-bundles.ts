import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import type { WorkflowBundle } from '@temporalio/worker';

const folder = join(__dirname, '..', 'bundles');

/** The releases whose workflows were frozen. */
export const frozenReleases: readonly string[] = readdirSync(folder)
  .filter((name) => name.endsWith('.js.gz'))
  .map((name) => name.replace(/\.js\.gz$/, ''));

/** The workflows of a release, with the source map that the SDK insists on; it is empty. */
export function readFrozenBundle(release: string): WorkflowBundle {
  const map = { version: 3, file: `${release}.js`, sources: [], names: [], mappings: '' };
  const encoded = Buffer.from(JSON.stringify(map)).toString('base64');
  const code = gunzipSync(readFileSync(join(folder, `${release}.js.gz`))).toString();
  return { code: `${code}\n//# sourceMappingURL=data:application/json;base64,${encoded}` };
}
