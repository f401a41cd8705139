import { Option } from 'commander';
import type { Command } from 'commander';

import { formatDate } from '../format-date';
import { listSyncs } from '../syncs/sync-views';
import type { ShownState } from '../syncs/sync-views';
import { formatBytes, plural } from './amounts';
import { run, wholeNumber, withExamples, withOutput } from './command';
import { noteDrain } from './drain-note';
import type { Colour, Output, OutputOptions } from './output';

const colours: Readonly<Record<ShownState, Colour>> = {
  running: 'blue',
  paused: 'yellow',
  interrupted: 'yellow',
  failed: 'red',
  canceled: 'yellow',
  completed: 'green',
  skipped: 'green',
  discarded: 'dim',
};

/** A state in its colour. */
export function paintState(output: Output, state: ShownState): string {
  return output.paint(colours[state], state);
}

type ListOptions = OutputOptions & { repository?: string; state?: ShownState; limit: number };

/** `penstock sync list`. */
export function addList(sync: Command): void {
  const command = sync
    .command('list')
    .description('list syncs, the newest first')
    .option('--repository <name>', 'only of this repository')
    .addOption(new Option('--state <state>', 'only in this state').choices(Object.keys(colours)))
    .option('--limit <n>', 'at most so many', wholeNumber(1, 10_000), 20);
  withOutput(command).action((options: ListOptions) =>
    run(options, async (context) => {
      const session = await context.open();
      const { output } = context;
      await noteDrain(context, session);
      const syncs = await listSyncs(await session.clientIfRunning(), options);
      output.result({ syncs }, () =>
        output.quiet
          ? syncs.map(({ id }) => id)
          : output.table(
              ['ID', 'REPOSITORY', 'STATE', 'VERSION', 'BEGUN', 'DOWNLOADED', 'RUNS'],
              syncs.map((each) => [
                each.id,
                each.repository,
                paintState(output, each.state),
                String(each.resultVersion ?? (each.incompleteVersion === null ? '-' : `(${each.incompleteVersion})`)),
                formatDate(each.startedAt) ?? '-',
                `${plural(each.downloaded, 'file')}, ${formatBytes(each.downloadedBytes)}`,
                String(each.runs),
              ]),
            ),
      );
    }),
  );
  withExamples(command, [
    ['penstock sync list --repository files', ''],
    ['penstock sync list --state failed --json', ''],
  ]);
}
