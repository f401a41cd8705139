import type { Command } from 'commander';

import { undrain } from '../draining/undrain';
import { run, withExamples, withOutput } from './command';
import type { Output, OutputOptions } from './output';

/** `penstock undrain`. */
export function undrainCommand(program: Command): void {
  const command = program
    .command('undrain')
    .description('end a drain: what it has paused goes on, and everything may begin again');
  withOutput(command).action((options: OutputOptions) =>
    run(options, async (context) => {
      const { output, settings } = context;
      const session = await context.open({ temporal: true });
      // Nobody else would answer for what is to go on.
      if (session.own) await session.startWorker('file');
      const { client, database } = session;
      const ended = await undrain({ client, pool: database.pool, taskQueue: settings.taskQueue });
      output.result(ended, () => describe(output, ended));
    }),
  );
  withExamples(command, [['penstock undrain', 'once the new workers run']]);
}

function describe(output: Output, { drained, workflows }: Awaited<ReturnType<typeof undrain>>): string[] {
  if (output.quiet) return workflows.filter(({ state }) => state === 'resumed').map(({ workflowId }) => workflowId);
  const rows = workflows.map(({ workflowId, state }) => [workflowId, state]);
  return [
    ...(rows.length > 0 ? [...output.table(['WORKFLOW', 'STATE'], rows), ''] : []),
    drained ? 'No longer drained: everything may begin to work.' : 'Penstock is not drained.',
  ];
}
