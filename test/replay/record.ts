import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { describe, it } from '@jest/globals';

import { Setting, perform } from './scenario';
import { scenarios } from './scenarios';

const histories = join(__dirname, '..', 'histories');

/** `npm run record`: runs every scenario against real services and writes its history down. */
describe('recorded histories', () => {
  for (const scenario of scenarios) {
    it(`of a workflow that is ${scenario.name}`, async () => {
      await perform(scenario, new Setting(), async (workflow) => {
        const { runId } = await workflow.describe();
        const history = withoutPlace(await fetchHistory(workflow.workflowId, runId));
        await writeFile(join(histories, `${scenario.name}.json`), `${JSON.stringify(history, undefined, 1)}\n`);
      });
    }, 120_000);
  }
});

/** As Temporal's own command line downloads a history, for the form that everybody's tools read. */
async function fetchHistory(workflowId: string, runId: string): Promise<unknown> {
  const args = ['workflow', 'show', '--workflow-id', workflowId, '--run-id', runId, '--output', 'json'];
  const { stdout } = await promisify(execFile)(
    process.env.PENSTOCK_TEST_TEMPORAL_CLI ?? 'temporal',
    [...args, '--address', process.env.PENSTOCK_TEST_TEMPORAL_ADDRESS ?? ''],
    { maxBuffer: 64 * 1024 * 1024 },
  );
  return JSON.parse(stdout);
}

/** What tells of the machine that it was recorded on says nothing to a replay. */
function withoutPlace(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutPlace);
  // A worker's own queue is named by its process and host.
  if (typeof value === 'string') return value.replace(/\d+@[\w.-]+/, 'penstock');
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== 'stackTrace')
      .map(([key, inner]: [string, unknown]) => [key, key === 'identity' ? 'penstock' : withoutPlace(inner)]),
  );
}
