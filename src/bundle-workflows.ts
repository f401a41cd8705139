import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { bundleWorkflowCode } from '@temporalio/worker';

/** Bundles the built workflows beside them, once, so that no worker has to. */
async function main(): Promise<void> {
  const root = join(__dirname, '..');
  const { code } = await bundleWorkflowCode({ workflowsPath: join(root, 'workflows', 'index.js') });
  await writeFile(join(root, 'workflow-bundle.js'), code);
}

void main();
