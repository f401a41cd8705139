import { Option } from 'commander';
import type { Command } from 'commander';

import { readCertificates, subjectOf } from '../distributions/client-authorities';
import {
  createDistribution,
  deleteDistribution,
  listDistributions,
  updateDistribution,
  viewDistribution,
} from '../distributions/distributions';
import type { DistributionChanges, DistributionView } from '../distributions/distributions';
import { formatDate } from '../format-date';
import type { Guard } from '../models/distribution-models';
import { quoted } from '../syncs/errors';
import { plural } from './amounts';
import { run, versionNumber, withExamples, withOutput } from './command';
import type { CommandContext } from './command';
import { addToken } from './distribution-token';
import { WrongUsage } from './exit-status';
import type { Output, OutputOptions } from './output';
import { readFileOf } from './remote-options';

/** `penstock distribution`. */
export function distributionCommand(program: Command): void {
  const distribution = program.command('distribution').description('what the content app serves, where, and to whom');
  addCreate(distribution);
  addList(distribution);
  addShow(distribution);
  addUpdate(distribution);
  addDelete(distribution);
  addToken(distribution);
  withExamples(distribution, [
    ['penstock distribution create stable --base-path debian/stable --repository files', ''],
    ['penstock distribution update stable --version 7', 'that version, until another one is named'],
    ['penstock distribution show stable', 'with its url'],
  ]);
}

interface Options extends OutputOptions {
  readonly basePath?: string;
  /** False: `--no-repository`. True is what commander makes of its absence. */
  readonly repository?: string | boolean;
  readonly version?: number;
  readonly guard?: Guard | 'none';
  readonly clientCa?: string;
}

function withAccess(command: Command): Command {
  return command
    .addOption(
      new Option('--guard <guard>', 'what readers have to show; none: everybody may read').choices([
        'token',
        'certificate',
        'none',
      ]),
    )
    .option(
      '--client-ca <file>',
      'certificates of the authorities that sign those of clients, in PEM form; - is stdin',
    );
}

function addCreate(distribution: Command): void {
  const command = distribution
    .command('create')
    .description('serve a repository, or one version of it, below a path')
    .argument('<name>')
    .requiredOption('--base-path <path>', 'the path below /pulp/content/, as debian/stable')
    .option('--repository <name>', 'the repository; nothing is served where none is given')
    .option('--version <n>', 'one version of it, for good, and not its newest complete one', versionNumber);
  withOutput(withAccess(command)).action((name: string, options: Options & { readonly basePath: string }) =>
    run(options, async (context) => {
      const { target, ...changes } = await readChanges(options);
      if (target && target.repository === undefined) throw new WrongUsage('--version needs --repository NAME.');
      const { database } = await context.open();
      await createDistribution(database, {
        ...changes,
        name,
        basePath: options.basePath,
        ...(target?.repository === undefined ? {} : { target: { ...target, repository: target.repository } }),
      });
      tell(context, await viewDistribution(database, name), 'created');
    }),
  );
  withExamples(command, [
    ['penstock distribution create stable --base-path debian/stable --repository files', 'its newest complete version'],
    ['penstock distribution create frozen --base-path frozen --repository files --version 7', ''],
    ['penstock distribution create inner --base-path inner --repository files --guard token', ''],
    ['penstock distribution create inner --base-path inner --guard certificate --client-ca ca.pem', ''],
  ]);
}

function addList(distribution: Command): void {
  const command = withOutput(distribution.command('list').description('list the distributions'));
  command.action((options: OutputOptions) =>
    run(options, async (context) => {
      const distributions = await listDistributions((await context.open()).database);
      const { output } = context;
      output.result({ distributions: distributions.map((each) => document(each, context)) }, () =>
        output.quiet
          ? distributions.map(({ name }) => name)
          : output.table(
              ['NAME', 'BASE PATH', 'SERVES', 'GUARD'],
              distributions.map((each) => [each.name, each.basePath, servedBy(each), each.guard ?? 'none']),
            ),
      );
    }),
  );
  withExamples(command, [['penstock distribution list --quiet', 'names only']]);
}

function addShow(distribution: Command): void {
  const command = withOutput(distribution.command('show').description('show a distribution, with its url'));
  command.argument('<name>').action((name: string, options: OutputOptions) =>
    run(options, async (context) => {
      const view = await viewDistribution((await context.open()).database, name);
      context.output.result(document(view, context), () => describe(view, context));
    }),
  );
  withExamples(command, [
    ['penstock distribution show stable', ''],
    ['curl "$(penstock distribution show stable --json | jq -r .url)"', ''],
  ]);
}

function addUpdate(distribution: Command): void {
  const command = distribution
    .command('update')
    .description('serve something else, or elsewhere, or to others; readers see all of the change at once')
    .argument('<name>')
    .option('--base-path <path>', 'the path below /pulp/content/')
    .addOption(new Option('--repository <name>', 'the repository: its newest complete version'))
    .addOption(new Option('--no-repository', 'nothing is served'))
    .option('--version <n>', 'one version, of the repository that is served now where none is given', versionNumber);
  withOutput(withAccess(command)).action((name: string, options: Options) =>
    run(options, async (context) => {
      const changes = await readChanges(options);
      if (Object.values(changes).every((value) => value === undefined)) {
        throw new WrongUsage('Nothing to update: give at least one option, such as --repository NAME.');
      }
      const { database } = await context.open();
      await updateDistribution(database, name, changes);
      tell(context, await viewDistribution(database, name), 'updated');
    }),
  );
  withExamples(command, [
    ['penstock distribution update stable --version 7', 'one version of its repository'],
    ['penstock distribution update stable --repository files', 'the newest complete version again'],
    ['penstock distribution update stable --no-repository', 'nothing: readers get 404'],
    ['penstock distribution update stable --guard none', 'everybody may read'],
  ]);
}

function addDelete(distribution: Command): void {
  const command = withOutput(
    distribution.command('delete').description('serve something no longer; the repository stays, and the tokens go'),
  );
  command.argument('<name>').action((name: string, options: OutputOptions) =>
    run(options, async (context) => {
      await context.open();
      await deleteDistribution(name);
      context.output.result({ deleted: name }, () =>
        context.output.quiet ? [] : [`Distribution "${name}" is deleted.`],
      );
    }),
  );
  withExamples(command, [['penstock distribution delete stable', '']]);
}

/** @throws {@link WrongUsage} */
async function readChanges({ basePath, repository, version, guard, clientCa }: Options): Promise<DistributionChanges> {
  if (repository === false && version !== undefined) throw new WrongUsage('--no-repository contradicts --version.');
  const named = typeof repository === 'string' ? repository : undefined;
  const target = named === undefined && version === undefined ? undefined : { repository: named, version };
  return {
    basePath,
    target: repository === false ? null : target,
    guard: guard === 'none' ? null : guard,
    clientCa: await readFileOf('--client-ca', clientCa),
  };
}

function tell(context: CommandContext, view: DistributionView, done: 'created' | 'updated'): void {
  const { output } = context;
  output.result(document(view, context), () =>
    output.quiet
      ? []
      : [`Distribution "${view.name}" is ${done}. It serves ${servedBy(view)}: ${urlOf(view, context)}`],
  );
  if (view.guard === 'token' && view.tokens === 0) {
    output.note(`Nobody has a token yet. Make one:  penstock distribution token add ${quoted(view.name)} TOKEN_NAME`);
  }
}

function urlOf({ basePath }: DistributionView, { settings }: CommandContext): string {
  return `${settings.contentOrigin}/pulp/content/${basePath.split('/').map(encodeURIComponent).join('/')}/`;
}

function document(view: DistributionView, context: CommandContext): DistributionView & { readonly url: string } {
  return { ...view, url: urlOf(view, context) };
}

function servedBy({ repository, version, serves }: DistributionView): string {
  if (repository === null || serves === null) return 'nothing';
  return `version ${serves} of ${repository}${version === null ? ', its newest' : ''}`;
}

function describe(view: DistributionView, context: CommandContext): string[] {
  const { output } = context;
  return output.pairs([
    ['name', view.name],
    ['base path', view.basePath],
    ['url', urlOf(view, context)],
    ['serves', view.serves === null ? nothing(output, view.name) : servedBy(view)],
    ['guard', view.guard ?? 'none: everybody may read'],
    ...(view.clientCa === null ? [] : readCertificates(view.clientCa)).map(
      (ca) => ['client ca', subjectOf(ca)] as const,
    ),
    ['tokens', tokens(view)],
    ['created', formatDate(view.createdAt)],
    ['updated', formatDate(view.updatedAt)],
  ]);
}

/** Also where the repository, or the version, was deleted. */
function nothing(output: Output, name: string): string {
  return output.paint('yellow', `nothing; penstock distribution update ${quoted(name)} --repository NAME changes that`);
}

function tokens({ guard, tokens: count }: DistributionView): string | null {
  if (count === 0) return guard === 'token' ? 'none: nobody may read' : null;
  return `${plural(count, 'token')}${guard === 'token' ? '' : ', which nobody asks for'}`;
}
