import type { Command } from 'commander';

import { discardOpenSync } from '../syncs/end-sync';
import { run, withExamples, withOutput } from './command';
import type { OutputOptions } from './output';

/** `penstock sync discard`. */
export function addDiscard(sync: Command): void {
  const command = withOutput(
    sync.command('discard').description('throw an incomplete version away; what it has saved is found again'),
  );
  command.argument('<repository>').action((repository: string, options: OutputOptions) =>
    run(options, async (context) => {
      const { client, database } = await context.open({ temporal: true });
      const { output, settings } = context;
      const discarded = await discardOpenSync({ client, database, settings }, repository);
      output.result({ repository, discarded: discarded ?? null }, () => {
        if (output.quiet) return [];
        return discarded
          ? [`Version ${discarded.version} of "${repository}", which was not complete, is thrown away.`]
          : [`Repository "${repository}" has no incomplete version.`];
      });
    }),
  );
  withExamples(command, [['penstock sync discard files', '']]);
}
