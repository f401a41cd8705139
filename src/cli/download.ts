import type { Command } from 'commander';

import { checkGlobs } from '../fetching/path-patterns';
import type { DownloadProgress } from '../fetching/version-download';
import { downloadProgress, listDownloadFailures } from '../maintenance/maintenance-views';
import type { DownloadFailureView } from '../maintenance/maintenance-views';
import { downloadKind } from '../maintenance/maintenance-workflow';
import { findVersion } from '../repositories/versions';
import { quoted } from '../syncs/errors';
import { formatBytes, formatCount, plural } from './amounts';
import { run, versionNumber, wholeNumber, withExamples, withOutput } from './command';
import { exitStatus } from './exit-status';
import { runMaintenance } from './maintenance-run';
import type { Output, OutputOptions } from './output';

type DownloadOptions = OutputOptions & { version?: number; filter?: string[]; detach?: boolean; limit: number };

/** `penstock download`. */
export function downloadCommand(program: Command): void {
  const command = program
    .command('download')
    .description('fetch the files of a version that are still deferred, whatever the policy of the remote is')
    .argument('<repository>')
    .option('--version <n>', 'the version; the newest complete one where none is given', versionNumber)
    .option(
      '--filter <pattern...>',
      'only files whose whole path matches one of these: * and ? stay within a folder, ** goes across folders',
    )
    .option('--detach', 'return at once, and let the download go on')
    .option('--limit <n>', 'print at most so many that could not be had', wholeNumber(1, 100_000), 100);
  withOutput(command).action((repository: string, options: DownloadOptions) =>
    run(
      options,
      (context) => {
        const { version = null, filter: filters = [], limit } = options;
        const again = ['penstock download', quoted(repository)];
        if (version !== null) again.push(`--version ${version}`);
        if (filters.length > 0) again.push(`--filter ${filters.map(quoted).join(' ')}`);
        return runMaintenance(
          context,
          {
            kind: downloadKind,
            request: { repository, version, filters },
            anew: false,
            what: `download of "${repository}"`,
            again: again.join(' '),
            check: async () => {
              checkGlobs(filters);
              await findVersion(repository, version ?? undefined);
            },
            progress: ({ database }, runId) => downloadProgress(database.pool, runId),
            report: async ({ database }, result) => {
              const failures = await listDownloadFailures(database.pool, result.downloadId, limit);
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
    ['penstock download files', 'all of the newest version; goes on where an interrupted download stopped'],
    [`penstock download files --version 3 --filter '*.iso' 'dists/**'`, ''],
    [`penstock download files --filter '**/*.deb'`, 'in any folder'],
  ]);
}

async function report(
  output: Output,
  result: DownloadProgress,
  failures: readonly DownloadFailureView[],
): Promise<void> {
  if (output.json) {
    await output.item({ event: 'result', ...result, failures }, () => '');
    return;
  }
  for (const failure of failures) {
    const { path, content, urls, reason } = failure;
    await output.item(failure, () =>
      [`${output.paint('red', path)} of content ${content}: ${reason}`, ...urls.map((url) => `  ${url}`)].join('\n'),
    );
  }
  const { version, fetched, fetchedBytes, failed } = result;
  if (failed > failures.length) output.done(`and ${formatCount(failed - failures.length)} more (--limit)`);
  const done = `Fetched ${plural(fetched, 'file')} of version ${version}, ${formatBytes(fetchedBytes)}`;
  output.done(failed > 0 ? `${done}; ${formatCount(failed)} could not be had.` : output.paint('green', `${done}.`));
}
