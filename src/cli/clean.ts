import type { Command } from 'commander';

import type { CleaningProgress } from '../cleaning/cleaning';
import { cleaningProgress } from '../maintenance/maintenance-views';
import { cleanKind } from '../maintenance/maintenance-workflow';
import { formatBytes, plural } from './amounts';
import { run, withExamples, withOutput } from './command';
import { duration } from './duration';
import type { Duration } from './duration';
import { runMaintenance } from './maintenance-run';
import type { Output, OutputOptions } from './output';

type CleanOptions = OutputOptions & { protection: Duration; dryRun?: boolean; detach?: boolean };

/** `penstock clean`. */
export function cleanCommand(program: Command): void {
  const command = program
    .command('clean')
    .description('remove what no version and no sync needs: contents, artifacts and files')
    .option(
      '--protection <time>',
      'keep what is younger, as 90s, 30m, 24h or 7d; 0 keeps nothing',
      duration,
      duration('24h'),
    )
    .option('--dry-run', 'say how much would be freed, and remove nothing')
    .option('--detach', 'return at once, and let the cleaning go on');
  withOutput(command).action((options: CleanOptions) =>
    run(
      options,
      (context) => {
        const { protection, dryRun = false } = options;
        return runMaintenance(
          context,
          {
            kind: cleanKind,
            request: { protectionSeconds: protection.seconds, dryRun },
            anew: false,
            what: 'cleaning',
            again: `penstock clean --protection ${protection.text}${dryRun ? ' --dry-run' : ''}`,
            check: () => Promise.resolve(),
            progress: ({ database }, runId) => cleaningProgress(database.pool, runId),
            report: (_, result) => report(context.output, result),
          },
          options,
        );
      },
      { handlesSignals: true, events: true },
    ),
  );
  withExamples(command, [
    ['penstock clean --dry-run', 'changes nothing'],
    ['penstock clean', 'safe while syncs run'],
    ['penstock clean --protection 7d', 'keeps what was saved in the last week'],
  ]);
}

async function report(output: Output, result: CleaningProgress): Promise<void> {
  const { dryRun, contents, artifacts, files, bytes } = result;
  if (output.json) {
    await output.item({ event: 'result', dryRun, contents, artifacts, files, bytes }, () => '');
    return;
  }
  output.done(
    `${dryRun ? 'Would free' : 'Freed'} ${plural(contents, 'content')}, ${plural(artifacts, 'artifact')}, ${plural(files, 'file')}: ${formatBytes(bytes)}.`,
  );
}
