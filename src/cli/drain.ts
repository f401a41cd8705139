import type { Command } from 'commander';

import { drain } from '../draining/drain';
import type { DrainedWorkflow } from '../draining/drain';
import { formatDate } from '../format-date';
import { run, withExamples, withOutput } from './command';
import { duration } from './duration';
import type { Duration } from './duration';
import { Interrupted } from './exit-status';
import type { Output, OutputOptions } from './output';
import { aborted } from './signals';

type DrainCommandOptions = OutputOptions & { timeout: Duration };

/** `penstock drain`. */
export function drainCommand(program: Command): void {
  const command = program
    .command('drain')
    .description(
      'pause all syncs, repairs, cleanings and refreshes, let none begin, and wait until the workers are idle',
    )
    .option('--timeout <time>', 'wait no longer than this, as 90s, 30m or 2h', duration, duration('10m'));
  withOutput(command).action(({ timeout, ...options }: DrainCommandOptions) =>
    run(
      options,
      async (context) => {
        const { output, interruption, settings } = context;
        const { client, database } = await context.open({ temporal: true, start: { for: 'A drain' } });
        const place = { client, pool: database.pool, taskQueue: settings.taskQueue };
        const draining = drain(place, {
          timeout: timeout.seconds * 1000,
          onWaiting: (ids) => {
            output.note(`Waiting until these come to rest: ${ids.join(', ')}`);
          },
          signal: interruption.signal,
        });
        draining.catch(() => undefined);
        const drained = await Promise.race([draining, aborted(interruption.signal)]);
        if (!drained) {
          throw new Interrupted(
            'Interrupted. Penstock may be drained in part: go on with "penstock drain", or end that with "penstock undrain".',
          );
        }
        output.result({ drained: true, ...drained }, () => describe(output, drained.since, drained.workflows));
      },
      { handlesSignals: true },
    ),
  );
  withExamples(command, [
    ['penstock drain', 'then stop the workers, start the new ones, and say "penstock undrain"'],
    ['penstock drain --timeout 2h --json', ''],
  ]);
}

function describe(output: Output, since: Date, workflows: readonly DrainedWorkflow[]): string[] {
  if (output.quiet) return workflows.filter(({ state }) => state === 'paused').map(({ workflowId }) => workflowId);
  const rows = workflows.map(({ workflowId, state, reason }) => [workflowId, state, reason ?? '-']);
  return [
    ...(rows.length > 0 ? [...output.table(['WORKFLOW', 'STATE', 'REASON'], rows), ''] : []),
    `Drained, since ${formatDate(since) ?? ''}: the workers are idle, and nothing begins to work. To end that: penstock undrain`,
  ];
}
