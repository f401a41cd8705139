import type { Command } from 'commander';

import { findSync, listFailures, readProgress, viewSync } from '../syncs/sync-views';
import type { FailureView, ProgressView, SyncView } from '../syncs/sync-views';
import { formatBytes, formatCount, formatDate, plural } from './amounts';
import { run, wholeNumber, withExamples, withOutput } from './command';
import type { Output, OutputOptions } from './output';
import { paintState } from './sync-list';
import { webUiOf } from './sync-places';

/** `penstock sync show`. */
export function addShow(sync: Command): void {
  const command = sync
    .command('show')
    .description('show a sync: how far it is, and what it could not have')
    .argument('<sync>', 'its id, or a repository for the newest one')
    .option('--limit <n>', 'at most so many failures', wholeNumber(1, 100_000), 100);
  withOutput(command).action((which: string, options: OutputOptions & { limit: number }) =>
    run(options, async (context) => {
      const session = await context.open();
      const row = await findSync(which);
      const view = await viewSync(await session.clientIfRunning(), row);
      const progress = await readProgress(row.id);
      const { total, failures } = await listFailures(session.database.sequelize, row.id, options.limit);
      const webUi = webUiOf(session, view);
      const { output } = context;
      output.result({ ...view, progress, failures, failureCount: total, webUi }, () => [
        ...describe(output, view, webUi),
        ...describeProgress(output, progress),
        ...describeFailures(output, failures, total),
      ]);
    }),
  );
  withExamples(command, [
    ['penstock sync show files', 'the newest sync of the repository'],
    ['penstock sync show 12 --json', ''],
  ]);
}

function describe(output: Output, view: SyncView, webUi: string | null): string[] {
  const what = view.state === 'interrupted' ? ' (no workflow works on it; the next sync goes on, or discard it)' : '';
  return output.pairs([
    ['sync', view.id],
    ['repository', view.repository],
    ['state', `${paintState(output, view.state)}${what}`],
    ['mode', view.mode],
    ['policy', view.policy],
    ['url', view.url],
    ['base version', view.baseVersion],
    ['result version', view.resultVersion],
    ['incomplete version', view.incompleteVersion ?? undefined],
    ['runs', view.runs],
    ['begun', formatDate(view.startedAt)],
    ['resumed', view.runs > 1 ? formatDate(view.resumedAt) : undefined],
    ['finished', formatDate(view.finishedAt)],
    ['downloaded', `${plural(view.downloaded, 'file')}, ${formatBytes(view.downloadedBytes)}`],
    ['workflow', view.workflowId],
    ['run', view.runId],
    ['Web UI', webUi ?? undefined],
    ['error', view.error?.message],
  ]);
}

function describeProgress(output: Output, progress: readonly ProgressView[]): string[] {
  if (progress.length === 0) return [];
  const rows = progress.map(({ message, state, done, total, suffix }) => [
    message,
    state,
    total === null ? formatCount(done) : `${formatCount(done)} of ${formatCount(total)}`,
    suffix ?? '',
  ]);
  return ['', ...output.table(['PROGRESS', 'STATE', 'DONE', ''], rows)];
}

function describeFailures(output: Output, failures: readonly FailureView[], total: number): string[] {
  if (failures.length === 0) return [];
  const rows = failures.map(({ path, content, url, reason, attempts }) => [
    path ?? content,
    url ?? '-',
    attempts === null ? '-' : String(attempts),
    reason,
  ]);
  const more = total > failures.length ? [`and ${formatCount(total - failures.length)} more (--limit)`] : [];
  return ['', ...output.table(['MISSING', 'URL', 'ATTEMPTS', 'REASON'], rows), ...more];
}
