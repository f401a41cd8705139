import type { Command } from 'commander';

import { listRepairFailures, repairProgress } from '../maintenance/maintenance-views';
import type { RepairFailureView } from '../maintenance/maintenance-views';
import { repairKind } from '../maintenance/maintenance-workflow';
import { findRepository } from '../repositories/repositories';
import type { RepairProgress } from '../repairing/repair';
import { quoted } from '../syncs/errors';
import { formatBytes, formatCount, plural } from './amounts';
import { run, wholeNumber, withExamples, withOutput } from './command';
import { exitStatus } from './exit-status';
import { runMaintenance } from './maintenance-run';
import type { Output, OutputOptions } from './output';

type RepairOptions = OutputOptions & { missingOnly?: boolean; restart?: boolean; detach?: boolean; limit: number };

/** `penstock repair`. */
export function repairCommand(program: Command): void {
  const command = program
    .command('repair')
    .description('read stored artifacts, and download again what is lost or rotten')
    .argument('[repository]', 'only what its versions hold')
    .option('--missing-only', 'only look whether files are there, with their sizes')
    .option('--restart', 'begin at the beginning, also where a repair was interrupted')
    .option('--detach', 'return at once, and let the repair go on')
    .option('--limit <n>', 'print at most so many that could not be mended', wholeNumber(1, 100_000), 100);
  withOutput(command).action((repository: string | undefined, options: RepairOptions) =>
    run(
      options,
      (context) => {
        const { missingOnly = false, restart = false, limit } = options;
        const name = repository === undefined ? '' : ` ${quoted(repository)}`;
        return runMaintenance(
          context,
          {
            kind: repairKind,
            request: { repository: repository ?? null, missingOnly, restart },
            anew: restart,
            what: repository === undefined ? 'repair' : `repair of "${repository}"`,
            again: `penstock repair${name}${missingOnly ? ' --missing-only' : ''}`,
            check: async () => {
              if (repository !== undefined) await findRepository(repository);
            },
            progress: ({ database }, runId) => repairProgress(database.pool, runId),
            report: async ({ database }, result) => {
              const failures = await listRepairFailures(database.pool, result.repairId, limit);
              await report(context.output, result, failures);
              if (result.failed > 0) process.exitCode = exitStatus.failed;
            },
          },
          options,
        );
      },
      { handlesSignals: true, events: true },
    ),
  );
  withExamples(command, [
    ['penstock repair', 'reads everything; goes on where an interrupted repair stopped'],
    ['penstock repair files', 'only what its versions hold'],
    ['penstock repair --missing-only', 'fast: reads nothing'],
  ]);
}

async function report(output: Output, result: RepairProgress, failures: readonly RepairFailureView[]): Promise<void> {
  if (output.json) {
    await output.item({ event: 'result', ...result, failures }, () => '');
    return;
  }
  for (const failure of failures) await output.item(failure, () => describe(output, failure));
  const { checked, checkedBytes, lost, rotten, mended, failed } = result;
  if (failed > failures.length) output.done(`and ${formatCount(failed - failures.length)} more (--limit)`);
  output.done(`Checked ${plural(checked, 'artifact')}, ${formatBytes(checkedBytes)}.`);
  const found = `${formatCount(lost)} lost, ${formatCount(rotten)} rotten; ${formatCount(mended)} mended`;
  output.done(failed > 0 ? `${found}, ${formatCount(failed)} could not be.` : output.paint('green', `${found}.`));
}

function describe(output: Output, { kind, sha256, path, content, repositories, reason }: RepairFailureView): string {
  const file = path === null ? 'which no content has' : `"${path}" of content ${content ?? ''}`;
  const held = repositories.length > 0 ? `, in ${repositories.map((name) => `"${name}"`).join(', ')}` : '';
  return `${output.paint('red', kind)}: artifact ${sha256} (${file}${held}): ${reason}`;
}
