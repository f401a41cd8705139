import type { Command } from 'commander';

import { formatDate } from '../format-date';
import { findVersion, listVersions } from '../repositories/versions';
import { formatCount } from './amounts';
import { run, versionNumber, wholeNumber, withExamples, withOutput } from './command';
import type { OutputOptions } from './output';
import { addDelete } from './version-delete';
import { addDiff } from './version-diff';
import { addRollback } from './version-rollback';

/** `penstock version`. */
export function versionCommand(program: Command): void {
  const version = program.command('version').description('the complete versions of repositories');
  addList(version);
  addShow(version);
  addDiff(version);
  addRollback(version);
  addDelete(version);
  withExamples(version, [
    ['penstock version list files', ''],
    ['penstock version diff files 3 4', 'what has changed from version 3 to version 4'],
  ]);
}

function addList(version: Command): void {
  const list = version
    .command('list')
    .description('list the complete versions of a repository, the newest first')
    .argument('<repository>')
    .option('--limit <n>', 'at most so many', wholeNumber(1), 100);
  withOutput(list).action((repository: string, options: OutputOptions & { limit: number }) =>
    run(options, async (context) => {
      await context.open();
      const versions = await listVersions(repository, options.limit);
      const { output } = context;
      output.result({ versions }, () =>
        output.quiet
          ? versions.map(({ number }) => String(number))
          : output.table(
              ['VERSION', 'COMPLETED', 'ADDED', 'REMOVED', 'PRESENT', 'MISSING'],
              versions.map(({ number, completedAt, added, removed, present, missing }) => [
                String(number),
                formatDate(completedAt) ?? '-',
                ...[added, removed, present, missing].map(formatCount),
              ]),
            ),
      );
    }),
  );
  withExamples(list, [['penstock version list files', '']]);
}

function addShow(version: Command): void {
  const show = version
    .command('show')
    .description('show a complete version, the newest where none is given')
    .argument('<repository>')
    .argument('[number]', 'the version', versionNumber);
  withOutput(show).action((repository: string, number: number | undefined, options: OutputOptions) =>
    run(options, async (context) => {
      await context.open();
      const view = await findVersion(repository, number);
      const { output } = context;
      output.result(view, () =>
        output.pairs([
          ['repository', view.repository],
          ['version', view.number],
          ['completed', formatDate(view.completedAt)],
          ...(['added', 'removed', 'present', 'missing'] as const).map((key) => [key, formatCount(view[key])] as const),
          ...Object.entries(view.types).map(
            ([type, { added, removed, present }]) =>
              [
                type,
                `${formatCount(added)} added, ${formatCount(removed)} removed, ${formatCount(present)} present`,
              ] as const,
          ),
        ]),
      );
    }),
  );
  withExamples(show, [
    ['penstock version show files', 'the newest'],
    ['penstock version show files 3 --json', ''],
  ]);
}
