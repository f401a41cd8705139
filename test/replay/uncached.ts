import { expect, it, jest } from '@jest/globals';

import { Setting, perform } from './scenario';
import type { Scenario } from './scenario';

/** Runs scenarios with workers that keep no workflow in memory, so that each of its tasks replays it from the start. */
export function testUncached(scenarios: readonly Scenario[]): void {
  jest.setTimeout(90_000);

  it.each(scenarios.map((scenario) => [scenario.name, scenario.status, scenario] as const))(
    '%s: %s',
    async (_, __, scenario) => {
      await perform(scenario, new Setting({ maxCachedWorkflows: 0 }), async (workflow) => {
        const { events } = await workflow.fetchHistory();
        const queues = (events ?? []).flatMap(
          (event) => event.workflowTaskScheduledEventAttributes?.taskQueue?.name ?? [],
        );
        // A worker that has workflows in its cache takes their tasks from a queue of its own, named after its process.
        expect(queues.filter((name) => name.startsWith(`${process.pid}@`))).toEqual([]);
      });
    },
  );
}
