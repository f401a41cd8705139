import type { Command } from 'commander';

import { rollbackVersion } from '../repositories/rollback-version';
import { formatCount } from './amounts';
import { run, versionNumber, withExamples, withOutput } from './command';
import type { OutputOptions } from './output';

/** `penstock version rollback`. */
export function addRollback(version: Command): void {
  const command = version
    .command('rollback')
    .description('make a new version with the content of an old one')
    .argument('<repository>')
    .argument('<number>', 'the old version', versionNumber);
  withOutput(command).action((repository: string, number: number, options: OutputOptions) =>
    run(options, async (context) => {
      const { database } = await context.open();
      const rollback = await rollbackVersion(database, repository, number);
      const { output } = context;
      const { version: newest, changed, added, removed } = rollback;
      output.result({ repository, ...rollback }, () => {
        if (output.quiet) return [];
        return changed
          ? [
              `Version ${newest} of "${repository}" has the content of version ${number}: ${formatCount(added)} added, ${formatCount(removed)} removed.`,
            ]
          : [`Version ${newest} of "${repository}" has the content of version ${number} already: no new version.`];
      });
    }),
  );
  withExamples(command, [['penstock version rollback files 3', 'the next sync brings what upstream has']]);
}
