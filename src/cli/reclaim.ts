import type { Command } from 'commander';

import { reclaimProgress } from '../maintenance/maintenance-views';
import { reclaimKind } from '../maintenance/maintenance-workflow';
import type { ReclaimProgress } from '../reclaiming/reclaim';
import { findVersion } from '../repositories/versions';
import { quoted } from '../syncs/errors';
import { formatBytes, plural } from './amounts';
import { run, versionNumber, withExamples, withOutput } from './command';
import { runMaintenance } from './maintenance-run';
import type { Output, OutputOptions } from './output';

type ReclaimOptions = OutputOptions & { keepVersion: number[]; dryRun?: boolean; detach?: boolean };

/** `penstock reclaim`. */
export function reclaimCommand(program: Command): void {
  const command = program
    .command('reclaim')
    .description('give the disk back: remove stored files that can be fetched again, and defer them')
    .argument('<repository>', 'only what its versions hold, and those of no other repository')
    .option(
      '--keep-version <n>',
      'keep the files of this version; may be given several times',
      (value: string, before: number[]) => [...before, versionNumber(value)],
      [],
    )
    .option('--dry-run', 'say how much would be freed, and change nothing')
    .option('--detach', 'return at once, and let the reclaim go on');
  withOutput(command).action((repository: string, options: ReclaimOptions) =>
    run(
      options,
      (context) => {
        const { dryRun = false } = options;
        const keepVersions = [...new Set(options.keepVersion)].sort((a, b) => a - b);
        const again = ['penstock reclaim', quoted(repository), ...keepVersions.map((each) => `--keep-version ${each}`)];
        if (dryRun) again.push('--dry-run');
        return runMaintenance(
          context,
          {
            kind: reclaimKind,
            request: { repository, keepVersions, dryRun },
            anew: false,
            what: `reclaim of "${repository}"`,
            again: again.join(' '),
            check: async () => {
              await findVersion(repository);
              for (const version of keepVersions) await findVersion(repository, version);
            },
            progress: ({ database }, runId) => reclaimProgress(database.pool, runId),
            report: (_, result) => report(context.output, result),
          },
          options,
        );
      },
      { handlesSignals: true, events: true },
    ),
  );
  withExamples(command, [
    ['penstock reclaim files --dry-run', 'changes nothing'],
    ['penstock reclaim files --keep-version 7', 'keeps what version 7 holds'],
    ['penstock download files', 'fetches the files of the newest version again'],
  ]);
}

async function report(output: Output, result: ReclaimProgress): Promise<void> {
  const { dryRun, contents, files, bytes } = result;
  if (output.json) {
    await output.item({ event: 'result', ...result }, () => '');
    return;
  }
  const [free, defer] = dryRun ? ['Would free', 'would be'] : ['Freed', contents === 1 ? 'is' : 'are'];
  output.done(
    `${free} ${plural(files, 'file')}: ${formatBytes(bytes)}; ${plural(contents, 'path')} ${defer} on demand.`,
  );
}
