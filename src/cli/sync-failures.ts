import type { Command } from 'commander';

import { findSync, listFailures } from '../syncs/sync-views';
import type { FailureView } from '../syncs/sync-views';
import { formatCount } from './amounts';
import { run, wholeNumber, withExamples, withOutput } from './command';
import type { Output, OutputOptions } from './output';

/** `penstock sync failures`. */
export function addFailures(sync: Command): void {
  const command = sync
    .command('failures')
    .description('list what a sync could not have, or did without')
    .argument('<sync>', 'its id, or a repository for the newest one')
    .option('--limit <n>', 'at most so many', wholeNumber(1, 100_000), 1000);
  withOutput(command).action((which: string, options: OutputOptions & { limit: number }) =>
    run(options, async (context) => {
      const { database } = await context.open();
      const { output } = context;
      const { id, repository } = await findSync(which);
      const { total, failures } = await listFailures(database.sequelize, id, options.limit);
      output.result({ sync: id, repository: repository?.name, failureCount: total, failures }, () => {
        if (output.quiet) return failures.map(({ path, content }) => path ?? content);
        return total === 0 ? [`Nothing is missing from sync ${id}.`] : describeFailures(output, failures, total);
      });
    }),
  );
  withExamples(command, [
    ['penstock sync failures files', 'of the newest sync of the repository'],
    ['penstock sync failures 12 --json', ''],
  ]);
}

/** What is missing, a line each: the reason names the url, what was expected and found, and the attempts. */
export function describeFailures(output: Output, failures: readonly FailureView[], total: number): string[] {
  const lines = failures.map(({ path, content, reason }) => `${output.paint('red', path ?? content)}: ${reason}`);
  return total > failures.length ? [...lines, `and ${formatCount(total - failures.length)} more (--limit)`] : lines;
}
