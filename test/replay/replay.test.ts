import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from '@jest/globals';
import { bundleWorkflowCode, Worker } from '@temporalio/worker';
import type { ReplayWorkerOptions } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';

import { quietRuntime } from '../harness/quiet-runtime';
import { scenarios } from './scenarios';

const root = join(__dirname, '..', '..');
const histories = join(root, 'test', 'histories');
const today: ReplayWorkerOptions = { workflowBundle: { codePath: join(root, 'dist', 'workflow-bundle.js') } };

function read(name: string): unknown {
  return JSON.parse(readFileSync(join(histories, name), 'utf8'));
}

describe('the workflows of today', () => {
  beforeAll(quietRuntime);

  const recorded = readdirSync(histories).filter((name) => name.endsWith('.json'));

  it('have a recorded history of every scenario', () => {
    // There may be more than one: "plain.json", "plain.2.json".
    const states = new Set(recorded.map((name) => name.split('.')[0]));
    expect([...states].sort()).toEqual(scenarios.map(({ name }) => name).sort());
  });

  it.each(recorded)('replay %s', async (name) => {
    await Worker.runReplayHistory(today, read(name), `sync/${name}`);
  });

  it('are caught where they no longer do what a history says', async () => {
    const workflowsPath = join(__dirname, 'workflows-in-another-order.ts');
    const workflowBundle = await bundleWorkflowCode({ workflowsPath });
    await expect(Worker.runReplayHistory({ workflowBundle }, read('plain.json'), 'sync/plain')).rejects.toThrow(
      DeterminismViolationError,
    );
  });
});
