import type { Command } from 'commander';

import { deleteVersion } from '../repositories/delete-version';
import { run, versionNumber, withExamples, withOutput } from './command';
import type { OutputOptions } from './output';

/** `penstock version delete`. */
export function addDelete(version: Command): void {
  const command = version
    .command('delete')
    .description('delete a complete version; the others stay as they are, and so do contents and files')
    .argument('<repository>')
    .argument('<number>', 'the version', versionNumber);
  withOutput(command).action((repository: string, number: number, options: OutputOptions) =>
    run(options, async (context) => {
      const { database } = await context.open();
      await deleteVersion(database, repository, number);
      const { output } = context;
      output.result({ repository, deleted: number }, () =>
        output.quiet ? [] : [`Version ${number} of "${repository}" is deleted.`],
      );
    }),
  );
  withExamples(command, [['penstock version delete files 3', '']]);
}
