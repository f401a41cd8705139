import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';

import { formatDate } from '../format-date';
import { plugins } from '../plugins';
import {
  createRepository,
  deleteRepository,
  findRepository,
  listRepositories,
  refuseWhileSyncing,
  updateRepository,
  viewRepository,
} from '../repositories/repositories';
import type { RepositoryView } from '../repositories/repositories';
import { setRetention } from '../repositories/retain-versions';
import { listSyncs } from '../syncs/sync-views';
import { findRunning } from '../syncs/sync-workflow';
import { plural } from './amounts';
import { run, withExamples, withOutput } from './command';
import { WrongUsage } from './exit-status';
import type { OutputOptions } from './output';

/** `penstock repository`. */
export function repositoryCommand(program: Command): void {
  const repository = program.command('repository').description('named sets of content, in versions');
  addCreate(repository);
  addList(repository);
  addShow(repository);
  addUpdate(repository);
  addDelete(repository);
  withExamples(repository, [
    ['penstock repository create files --remote files', 'with its version 0, which is empty'],
    ['penstock repository show files', ''],
  ]);
}

function addCreate(repository: Command): void {
  const command = repository
    .command('create')
    .description('create a repository; "penstock sync NAME --url URL" does that too')
    .argument('<name>')
    .option('--type <plugin>', `the plugin: ${plugins.map(({ name }) => name).join(', ')}`, 'file')
    .option('--remote <name>', 'the remote that it is synced from')
    .addOption(retainVersions());
  type Options = OutputOptions & { type: string; remote?: string; retainVersions?: Retained };
  withOutput(command).action((name: string, options: Options) =>
    run(options, async (context) => {
      const { type, remote, retainVersions: retained = 'none' } = options;
      const { database, plugins: registry } = context.storeOf(await context.open());
      await createRepository(
        { database, plugins: registry },
        { name, type, remote, retainRepoVersions: retention(retained) },
      );
      const view = await viewRepository(name);
      context.output.result(view, () => (context.output.quiet ? [] : [`Repository "${name}" is created.`]));
    }),
  );
  withExamples(command, [
    ['penstock repository create files --remote files', ''],
    ['penstock repository create files --remote files --retain-versions 10', 'the newest ten are kept'],
  ]);
}

function addList(repository: Command): void {
  const command = withOutput(repository.command('list').description('list the repositories'));
  command.action((options: OutputOptions) =>
    run(options, async (context) => {
      await context.open();
      const repositories = await listRepositories();
      const { output } = context;
      output.result({ repositories }, () =>
        output.quiet
          ? repositories.map(({ name }) => name)
          : output.table(
              ['NAME', 'TYPE', 'REMOTE', 'VERSION'],
              repositories.map(({ name, type, remote, latestVersion }) => [
                name,
                type,
                remote ?? '-',
                String(latestVersion ?? '-'),
              ]),
            ),
      );
    }),
  );
  withExamples(command, [['penstock repository list --quiet', 'names only']]);
}

function addShow(repository: Command): void {
  const command = withOutput(repository.command('show').description('show a repository'));
  command.argument('<name>').action((name: string, options: OutputOptions) =>
    run(options, async (context) => {
      await context.open();
      const view = await viewRepository(name);
      const [lastSync = null] = await listSyncs(undefined, { repository: name, limit: 1 });
      const { output } = context;
      output.result({ ...view, lastSync }, () =>
        output.pairs([
          ...describe(view),
          ['last sync', lastSync && `${lastSync.id}, ${lastSync.state}, begun ${formatDate(lastSync.startedAt) ?? ''}`],
        ]),
      );
    }),
  );
  withExamples(command, [['penstock repository show files', '']]);
}

function addUpdate(repository: Command): void {
  const command = repository
    .command('update')
    .description('give a repository another remote, or none, or let it keep fewer versions, or more')
    .argument('<name>')
    .addOption(new Option('--remote <name>', 'the remote that it is synced from'))
    .addOption(new Option('--no-remote', 'none'))
    .addOption(retainVersions());
  type Options = OutputOptions & { remote?: string | false; retainVersions?: Retained };
  withOutput(command).action((name: string, options: Options) =>
    run(options, async (context) => {
      // `--no-remote` makes commander think that the standard is true.
      const given = options.remote as string | boolean | undefined;
      const remote = given === false ? null : given === true ? undefined : given;
      const { retainVersions: retained } = options;
      if (remote === undefined && retained === undefined)
        throw new WrongUsage('Nothing to update: give --remote NAME, --no-remote or --retain-versions N.');
      const { database } = await context.open();
      if (remote !== undefined) await updateRepository(database, name, { remote });
      const deleted = retained === undefined ? 0 : await setRetention(database, name, retention(retained));
      const view = await viewRepository(name);
      context.output.result(view, () => {
        if (context.output.quiet) return [];
        const what = deleted === 0 ? '' : ` Its oldest versions are deleted: ${plural(deleted, 'version')}.`;
        return [`Repository "${name}" is updated.${what}`];
      });
    }),
  );
  withExamples(command, [
    ['penstock repository update files --remote mirror', ''],
    ['penstock repository update files --retain-versions 10', 'the newest ten are kept, and older ones go now'],
  ]);
}

function addDelete(repository: Command): void {
  const command = withOutput(
    repository.command('delete').description('delete a repository with its versions; contents and files stay'),
  );
  command.argument('<name>').action((name: string, options: OutputOptions) =>
    run(options, async (context) => {
      const { database, client } = await context.open({ temporal: true });
      await findRepository(name);
      if (await findRunning(client, name)) throw refuseWhileSyncing(name, 'deleted');
      const served = await deleteRepository(database, name);
      context.output.result({ deleted: name }, () =>
        context.output.quiet ? [] : [`Repository "${name}" is deleted.`],
      );
      for (const distribution of served) context.output.warn(`Distribution "${distribution}" serves nothing now.`);
    }),
  );
  withExamples(command, [['penstock repository delete files', '']]);
}

/** Commander makes an empty text of null, so the absence of a limit has a word. */
type Retained = number | 'none';

function retainVersions(): Option {
  return new Option(
    '--retain-versions <n|none>',
    'keep so many of the newest complete versions; none: keep all',
  ).argParser((text): Retained => {
    if (text === 'none') return text;
    const value = /^\d{1,10}$/.test(text) ? Number(text) : 0;
    if (value >= 1 && value < 2 ** 31) return value;
    throw new InvalidArgumentError('Expected a whole number of 1 or more, or none.');
  });
}

function retention(retained: Retained): number | null {
  return retained === 'none' ? null : retained;
}

function describe(view: RepositoryView): (readonly [string, string | number | null])[] {
  return [
    ['name', view.name],
    ['type', view.type],
    ['remote', view.remote],
    ['latest version', view.latestVersion],
    [
      'incomplete version',
      view.incompleteVersion === null ? null : `${view.incompleteVersion}, begun by a sync that is not over`,
    ],
    ['retained versions', view.retainRepoVersions ?? 'all'],
    ['created', formatDate(view.createdAt)],
    ['updated', formatDate(view.updatedAt)],
  ];
}
