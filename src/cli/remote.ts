import type { Command } from 'commander';

import { formatDate } from '../format-date';
import { plugins } from '../plugins';
import { createRemote, deleteRemote, findRemote, listRemotes, updateRemote, viewRemote } from '../repositories/remotes';
import type { FieldChange, RemoteView } from '../repositories/remotes';
import { run, withExamples, withOutput } from './command';
import { WrongUsage } from './exit-status';
import type { Output, OutputOptions } from './output';
import { anyGiven, readRemoteOptions, withRemoteOptions } from './remote-options';
import type { RemoteOptions } from './remote-options';

/** `penstock remote`. */
export function remoteCommand(program: Command): void {
  const remote = program.command('remote').description('where repositories are synced from, and how');
  addCreate(remote);
  addList(remote);
  addShow(remote);
  addUpdate(remote);
  addDelete(remote);
  withExamples(remote, [
    ['penstock remote create files --url https://example.org/PULP_MANIFEST', 'the policy is immediate'],
    ['penstock remote update files --username me --password-file secret.txt', 'secrets are encrypted, and never shown'],
    ['penstock remote show files --json', ''],
  ]);
}

function addCreate(remote: Command): void {
  const command = remote
    .command('create')
    .description('create a remote')
    .argument('<name>')
    .requiredOption('--url <url>', 'http, https or file; no credentials inside')
    .option('--type <plugin>', `the plugin: ${plugins.map(({ name }) => name).join(', ')}`, 'file');
  withOutput(withRemoteOptions(command)).action(
    (name: string, options: RemoteOptions & OutputOptions & { readonly url: string; readonly type: string }) =>
      run(options, async (context) => {
        const fields = await readRemoteOptions(options);
        const store = context.storeOf(await context.open());
        const created = await createRemote(store, { ...fields, name, type: options.type, url: options.url });
        context.output.result(viewRemote(store, created), () =>
          context.output.quiet ? [] : [`Remote "${name}" is created.`],
        );
      }),
  );
  withExamples(command, [
    ['penstock remote create files --url https://example.org/PULP_MANIFEST --policy on_demand', ''],
    [
      'pass show mirror | penstock remote create files --url … --username me --password-file -',
      'the password from stdin',
    ],
  ]);
}

function addList(remote: Command): void {
  const command = withOutput(remote.command('list').description('list the remotes'));
  command.action((options: OutputOptions) =>
    run(options, async (context) => {
      const store = context.storeOf(await context.open());
      const remotes = (await listRemotes()).map((each) => viewRemote(store, each));
      const { output } = context;
      output.result({ remotes }, () =>
        output.quiet
          ? remotes.map(({ name }) => name)
          : output.table(
              ['NAME', 'TYPE', 'POLICY', 'URL'],
              remotes.map(({ name, type, policy, url }) => [name, type, policy, url]),
            ),
      );
    }),
  );
  withExamples(command, [['penstock remote list', '']]);
}

function addShow(remote: Command): void {
  const command = withOutput(remote.command('show').description('show a remote; of secrets, whether they are set'));
  command.argument('<name>').action((name: string, options: OutputOptions) =>
    run(options, async (context) => {
      const store = context.storeOf(await context.open());
      const view = viewRemote(store, await findRemote(name));
      context.output.result(view, () => describe(view, context.output));
    }),
  );
  withExamples(command, [['penstock remote show files', '']]);
}

function addUpdate(remote: Command): void {
  const command = remote
    .command('update')
    .description('change fields of a remote')
    .argument('<name>')
    .option('--url <url>', 'http, https or file; no credentials inside');
  withOutput(withRemoteOptions(command)).action((name: string, options: RemoteOptions & OutputOptions) =>
    run(options, async (context) => {
      const changes = await readRemoteOptions(options);
      if (!anyGiven(changes)) throw new WrongUsage('Nothing to update: give at least one field, such as --url URL.');
      const store = context.storeOf(await context.open());
      const changed = await updateRemote(store, name, changes);
      const { output } = context;
      output.result({ remote: viewRemote(store, await findRemote(name)), changed }, () =>
        output.quiet ? [] : describeChanges(name, changed),
      );
    }),
  );
  withExamples(command, [
    ['penstock remote update files --policy immediate --rate-limit 20', ''],
    ['penstock remote update files --unset rate-limit --unset password', ''],
  ]);
}

function addDelete(remote: Command): void {
  const command = withOutput(remote.command('delete').description('delete a remote that no repository uses'));
  command.argument('<name>').action((name: string, options: OutputOptions) =>
    run(options, async (context) => {
      await deleteRemote(context.storeOf(await context.open()), name);
      context.output.result({ deleted: name }, () => (context.output.quiet ? [] : [`Remote "${name}" is deleted.`]));
    }),
  );
  withExamples(command, [['penstock remote delete files', '']]);
}

/** What an update has changed, a line for each field. */
export function describeChanges(name: string, changed: readonly FieldChange[]): string[] {
  if (changed.length === 0) return [`Remote "${name}" was so already.`];
  return changed.map(({ field, from, to }) => `Remote "${name}": ${words(field)} ${shown(from)} → ${shown(to)}`);
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return 'none';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.includes('\n') ? 'a certificate' : text;
}

function describe(view: RemoteView, output: Output): string[] {
  const { createdAt, updatedAt, secretsReadable, ...fields } = view;
  const lines = output.pairs([
    ...Object.entries(fields).map(([field, value]) => [words(field), value === null ? null : shown(value)] as const),
    ['created', formatDate(createdAt)],
    ['updated', formatDate(updatedAt)],
  ]);
  return secretsReadable
    ? lines
    : [
        ...lines,
        output.paint('yellow', 'The secrets were encrypted with another key than PENSTOCK_SECRET_KEY; set them again.'),
      ];
}

function words(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
