import type { Command } from 'commander';

import {
  createAlternate,
  deleteAlternate,
  listAlternates,
  updateAlternate,
  viewAlternate,
} from '../alternates/alternates';
import type { AlternateView } from '../alternates/alternates';
import { formatDate } from '../format-date';
import { refreshProgress } from '../maintenance/maintenance-views';
import { refreshKind } from '../maintenance/maintenance-workflow';
import type { RefreshProgress } from '../alternates/refreshes';
import { InUse } from '../repositories/errors';
import { quoted } from '../syncs/errors';
import { findRunningWorkflow } from '../syncs/sync-workflow';
import { formatCount, plural } from './amounts';
import { run, withExamples, withOutput } from './command';
import { WrongUsage } from './exit-status';
import { runMaintenance } from './maintenance-run';
import type { Output, OutputOptions } from './output';

/** `penstock acs`. */
export function acsCommand(program: Command): void {
  const acs = program
    .command('acs')
    .description('alternate content sources: remotes that are asked first for files that they are known to have');
  addCreate(acs);
  addList(acs);
  addShow(acs);
  addUpdate(acs);
  addRefresh(acs);
  addDelete(acs);
  withExamples(acs, [
    ['penstock acs create cdn --remote cdn --path files/PULP_MANIFEST', ''],
    ['penstock acs refresh cdn', 'finds out what it has; from then on syncs ask it first'],
  ]);
}

const collect = (path: string, paths: readonly string[] = []): string[] => [...paths, path];

function addCreate(acs: Command): void {
  const command = acs
    .command('create')
    .description('create an alternate content source, of which nothing is known before its first refresh')
    .argument('<name>')
    .requiredOption('--remote <name>', 'where its files are fetched, with what credentials and limits')
    .option(
      '--path <path>',
      "metadata below the remote's url, which is that of a folder then; may be repeated",
      collect,
    );
  type Options = OutputOptions & { remote: string; path?: readonly string[] };
  withOutput(command).action((name: string, options: Options) =>
    run(options, async (context) => {
      const { pool } = (await context.open()).database;
      await createAlternate(pool, { name, remote: options.remote, paths: options.path ?? [] });
      context.output.result(await viewAlternate(pool, name), () =>
        context.output.quiet
          ? []
          : [
              `Alternate content source "${name}" is created.`,
              `Find out what it has:  penstock acs refresh ${quoted(name)}`,
            ],
      );
    }),
  );
  withExamples(command, [
    ['penstock acs create mirror --remote mirror', "the remote's url is that of its metadata"],
    ['penstock acs create cdn --remote cdn --path a/PULP_MANIFEST --path b/PULP_MANIFEST', 'all below one url'],
  ]);
}

function addList(acs: Command): void {
  const command = withOutput(acs.command('list').description('list the alternate content sources'));
  command.action((options: OutputOptions) =>
    run(options, async (context) => {
      const alternates = await listAlternates((await context.open()).database.pool);
      const { output } = context;
      output.result({ alternates }, () =>
        output.quiet
          ? alternates.map(({ name }) => name)
          : output.table(
              ['NAME', 'REMOTE', 'FILES', 'REFRESHED'],
              alternates.map(({ name, remote, artifacts, lastRefreshed }) => [
                ...[name, remote, formatCount(artifacts)],
                formatDate(lastRefreshed) ?? 'never',
              ]),
            ),
      );
    }),
  );
  withExamples(command, [['penstock acs list', '']]);
}

function addShow(acs: Command): void {
  const command = withOutput(acs.command('show').description('show an alternate content source'));
  command.argument('<name>').action((name: string, options: OutputOptions) =>
    run(options, async (context) => {
      const view = await viewAlternate((await context.open()).database.pool, name);
      context.output.result(view, () => context.output.pairs(describe(view)));
    }),
  );
  withExamples(command, [['penstock acs show cdn', '']]);
}

function addUpdate(acs: Command): void {
  const command = acs
    .command('update')
    .description('give an alternate content source another remote, or other paths from its next refresh on')
    .argument('<name>')
    .option('--remote <name>', 'forgets what is known until the next refresh')
    .option('--path <path>', 'in place of those that it has; may be repeated', collect)
    .option('--no-paths', "none: the remote's url is that of the metadata");
  type Options = OutputOptions & { remote?: string; path?: readonly string[]; paths: boolean };
  withOutput(command).action((name: string, options: Options) =>
    run(options, async (context) => {
      const { remote, path } = options;
      if (path && !options.paths) throw new WrongUsage('--path and --no-paths contradict each other.');
      const paths = options.paths ? path : [];
      if (remote === undefined && paths === undefined)
        throw new WrongUsage('Nothing to update: give --remote NAME, --path PATH or --no-paths.');
      const { pool } = (await context.open()).database;
      await updateAlternate(pool, name, { remote, paths });
      context.output.result(await viewAlternate(pool, name), () =>
        context.output.quiet ? [] : [`Alternate content source "${name}" is updated.`],
      );
    }),
  );
  withExamples(command, [
    ['penstock acs update cdn --remote cdn2', ''],
    ['penstock acs update cdn --path a/PULP_MANIFEST --path c/PULP_MANIFEST', ''],
  ]);
}

function addRefresh(acs: Command): void {
  const command = acs
    .command('refresh')
    .description('find out which files an alternate content source has, from its metadata')
    .argument('<name>')
    .option('--detach', 'return at once, and let the refresh go on');
  withOutput(command).action((name: string, options: OutputOptions & { detach?: boolean }) =>
    run(
      options,
      (context) =>
        runMaintenance(
          context,
          {
            kind: refreshKind,
            request: { alternate: name },
            anew: false,
            what: `refresh of "${name}"`,
            again: `penstock acs refresh ${quoted(name)}`,
            check: async ({ database }) => {
              await viewAlternate(database.pool, name);
            },
            progress: ({ database }, runId) => refreshProgress(database.pool, runId),
            report: (_, result) => report(context.output, name, result),
          },
          options,
        ),
      { handlesSignals: true, events: true },
    ),
  );
  withExamples(command, [
    ['penstock acs refresh cdn', 'daily, say; what was known stays in use meanwhile'],
    ['penstock acs refresh cdn --detach', ''],
  ]);
}

function addDelete(acs: Command): void {
  const command = withOutput(
    acs.command('delete').description('delete an alternate content source; its remote stays, and what it has given'),
  );
  command.argument('<name>').action((name: string, options: OutputOptions) =>
    run(options, async (context) => {
      const { database, client } = await context.open({ temporal: true });
      const workflowId = `refresh/${name}`;
      if (await findRunningWorkflow(client, workflowId)) {
        throw new InUse(
          `Alternate content source "${name}" is being refreshed. Wait for the end of workflow ${workflowId}, or cancel it in Temporal's Web UI.`,
          { alternate: name },
        );
      }
      await deleteAlternate(database.pool, name);
      context.output.result({ deleted: name }, () =>
        context.output.quiet ? [] : [`Alternate content source "${name}" is deleted.`],
      );
    }),
  );
  withExamples(command, [['penstock acs delete cdn', '']]);
}

async function report(output: Output, name: string, result: RefreshProgress): Promise<void> {
  if (output.json) {
    await output.item({ event: 'result', ...result }, () => '');
    return;
  }
  const { artifacts, withoutSha256, unexplored } = result;
  output.done(`"${name}" has ${plural(artifacts, 'file')}, which syncs ask it for from now on.`);
  if (withoutSha256 > 0) output.done(`${plural(withoutSha256, 'file')} without sha256: they are never asked for.`);
  if (unexplored > 0) {
    output.done(
      `Of ${plural(unexplored, 'content')} the files would tell of more, and are not stored here: once a repository was synced that has them, refresh again.`,
    );
  }
}

function describe(view: AlternateView): (readonly [string, string | null])[] {
  const { lastRefresh } = view;
  return [
    ['name', view.name],
    ['remote', view.remote],
    ['paths', view.paths.length === 0 ? "the remote's url" : view.paths.join(', ')],
    ['files', formatCount(view.artifacts)],
    ['refreshed', formatDate(view.lastRefreshed) ?? 'never'],
    [
      'last refresh',
      lastRefresh &&
        `${lastRefresh.state}, begun ${formatDate(lastRefresh.startedAt) ?? ''}${lastRefresh.error ? `: ${lastRefresh.error.message}` : ''}`,
    ],
    ['left alone until', formatDate(view.failedUntil)],
    ['created', formatDate(view.createdAt)],
    ['updated', formatDate(view.updatedAt)],
  ];
}
