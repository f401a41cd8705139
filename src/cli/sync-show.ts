import type { Command } from 'commander';

import { formatDate } from '../format-date';
import { findSync, listFailures, readProgress, readStandstill, viewSync } from '../syncs/sync-views';
import type { ProgressView, Standstill, SyncView } from '../syncs/sync-views';
import { formatBytes, formatCount, plural } from './amounts';
import { run, wholeNumber, withExamples, withOutput } from './command';
import type { Output, OutputOptions } from './output';
import { bytesOf } from './progress-rates';
import { describeFailures } from './sync-failures';
import { paintState } from './sync-list';
import { webUiOf } from './sync-places';
import { describeWait } from './standstill';

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
      const client = await session.clientIfRunning();
      const view = await viewSync(client, row);
      const progress = await readProgress(row.id);
      const { total, failures } = await listFailures(session.database.sequelize, row.id, options.limit);
      const standstill = await readStandstill(session.database.sequelize, row.id);
      const webUi = webUiOf(session, view);
      const { output } = context;
      output.result({ ...view, waits: standstill.waits, progress, failures, failureCount: total, webUi }, () => [
        ...describe(output, view, { ...standstill, moves: client !== undefined, webUi }),
        ...describeProgress(output, progress),
        ...(total > 0 ? ['', ...describeFailures(output, failures, total)] : []),
      ]);
    }),
  );
  withExamples(command, [
    ['penstock sync show files', 'the newest sync of the repository'],
    ['penstock sync show 12 --json', ''],
  ]);
}

/** What there is to say about a state that no other line says. */
function remarkOn({ state }: SyncView, moves: boolean): string {
  if (state === 'interrupted') return ' (no workflow works on it; the next sync goes on, or discard it)';
  const open = state === 'running' || state === 'paused';
  return open && !moves ? ' (Temporal does not answer: it goes on once that runs again, with a worker)' : '';
}

function describe(
  output: Output,
  view: SyncView,
  { waits, moves, webUi }: Standstill & { readonly moves: boolean; readonly webUi: string | null },
): string[] {
  return output.pairs([
    ['sync', view.id],
    ['repository', view.repository],
    ['state', `${paintState(output, view.state)}${remarkOn(view, moves)}`],
    ['paused', view.paused ? `since ${formatDate(view.paused.since) ?? ''}: ${view.paused.reason}` : undefined],
    ...waits.map((wait) => ['waits', describeWait(wait)] as const),
    [
      'limits',
      view.limits
        ? `${view.limits.downloadConcurrency} requests at once, ${view.limits.rateLimit ?? 'any number of'} a second`
        : undefined,
    ],
    ['missing', view.missing > 0 ? plural(view.missing, 'content') : undefined],
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
  const rows = progress.map((line) => {
    const { message, state, done, total } = line;
    const bytes = bytesOf(line);
    return [
      message,
      state,
      total === null ? formatCount(done) : `${formatCount(done)} of ${formatCount(total)}`,
      bytes === null ? '' : formatBytes(bytes),
    ];
  });
  return ['', ...output.table(['PROGRESS', 'STATE', 'DONE', ''], rows)];
}
