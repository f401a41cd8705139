import { Option } from 'commander';
import type { Command } from 'commander';

import { limitSync } from '../syncs/operate-sync';
import { run, wholeNumber, withExamples, withOutput } from './command';
import { WrongUsage } from './exit-status';
import type { OutputOptions } from './output';

interface LimitOptions extends OutputOptions {
  readonly downloadConcurrency?: number;
  readonly rateLimit?: number;
  readonly unset?: 'rate-limit';
}

/** `penstock sync limit`. */
export function addLimit(sync: Command): void {
  const command = sync
    .command('limit')
    .description('change what a sync that runs may ask of upstream, until it ends; its remote stays as it is')
    .argument('<repository>')
    .option('--download-concurrency <n>', 'requests at once, for the whole sync', wholeNumber(1, 1000))
    .option('--rate-limit <n>', 'requests a second, for the whole sync', wholeNumber(1, 2 ** 31 - 1))
    .addOption(new Option('--unset <field>', 'take the limit away').choices(['rate-limit']).conflicts('rateLimit'));
  withOutput(command).action((repository: string, options: LimitOptions) =>
    run(options, async (context) => {
      const { downloadConcurrency, rateLimit, unset } = options;
      if (downloadConcurrency === undefined && rateLimit === undefined && unset === undefined)
        throw new WrongUsage('Say what to change: --download-concurrency, --rate-limit or --unset rate-limit.');
      const { client } = await context.open({ temporal: true });
      const { output } = context;
      const { workflowId, runId, limits } = await limitSync(client, repository, {
        ...(downloadConcurrency === undefined ? {} : { downloadConcurrency }),
        ...(rateLimit === undefined ? {} : { rateLimit }),
        ...(unset === undefined ? {} : { rateLimit: null }),
      });
      output.result({ repository, workflowId, runId, limits }, () => {
        if (output.quiet) return [];
        const rate =
          limits.rateLimit === null ? 'no limit to requests a second' : `${limits.rateLimit} requests a second`;
        return [`The sync of "${repository}" may make ${limits.downloadConcurrency} requests at once, with ${rate}.`];
      });
    }),
  );
  withExamples(command, [
    ['penstock sync limit files --download-concurrency 3 --rate-limit 20', ''],
    ['penstock sync limit files --unset rate-limit', ''],
  ]);
}
