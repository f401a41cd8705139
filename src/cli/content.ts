import type { Command } from 'commander';

import { findContent, listContents } from '../repositories/contents';
import type { ContentFile, ContentView } from '../repositories/contents';
import { findVersion } from '../repositories/versions';
import { formatBytes } from './amounts';
import { run, versionNumber, wholeNumber, withExamples, withOutput } from './command';
import { WrongUsage } from './exit-status';
import type { OutputOptions } from './output';
import { describeDatabase } from './schema';
import { aborted } from './signals';

/** `penstock content`: by itself the content app; with a subcommand, a look at contents. */
export function contentCommand(program: Command): void {
  const content = program
    .command('content')
    .description(
      'serve distributions over HTTP until SIGTERM or Ctrl-C; with a subcommand, look at the contents of versions',
    );
  withOutput(content).action((options: OutputOptions) =>
    run(
      options,
      async (context) => {
        const { output, interruption } = context;
        const session = await context.open({ start: { for: 'The content app' } });
        const { url } = await session.startContentApp();
        const database = describeDatabase(session.addresses.databaseUrl);
        output.result({ url: `${url}/pulp/content/`, database }, () => [
          `Content is served at ${url}/pulp/content/; the database is at ${database}.`,
        ]);
        await aborted(interruption.signal);
        output.note('The content app stops.');
      },
      { handlesSignals: true },
    ),
  );
  withExamples(content, [
    ['penstock content', 'serves at http://127.0.0.1:24816/pulp/content/'],
    ['PENSTOCK_CONTENT_ADDRESS=0.0.0.0:80 penstock content', ''],
    ['PENSTOCK_LOG_LEVEL=info penstock content', 'with a line for each request on stderr'],
  ]);
  addList(content);
  addShow(content);
}

type ListOptions = OutputOptions & { version?: number; limit?: number; after: string; type?: string };

function addList(content: Command): void {
  const command = content
    .command('list')
    .description('list the contents of a version; with --json, a line of JSON for each')
    .argument('<repository>')
    .option('--version <n>', 'the version; the newest complete one where none is given', versionNumber)
    .option('--limit <n>', 'at most so many', wholeNumber(1))
    .option('--after <id>', 'go on after this content', '0')
    .option('--type <type>', 'only contents of this type, as file.file');
  withOutput(command).action((repository: string, options: ListOptions) =>
    run(options, async (context) => {
      checkId(options.after);
      const { database } = await context.open();
      const { number } = await findVersion(repository, options.version);
      const { output, plugins } = context;
      const selection = {
        repository,
        version: number,
        after: options.after,
        limit: options.limit ?? Infinity,
        type: options.type,
      };
      for await (const each of listContents({ pool: database.pool, plugins }, selection)) {
        if (output.closed) return;
        await output.item(each, () => (output.quiet ? each.id : line(each)));
      }
    }),
  );
  withExamples(command, [
    ['penstock content list files', 'id, type, fields and files, between tabs'],
    ['penstock content list files --version 3 --limit 100', ''],
    ['penstock content list files --json | jq -r ".files[].relativePath"', ''],
  ]);
}

function addShow(content: Command): void {
  const command = withOutput(content.command('show').description('show a content: its files, and where it is held'));
  command.argument('<id>').action((id: string, options: OutputOptions) =>
    run(options, async (context) => {
      checkId(id);
      const { database } = await context.open();
      const { output, plugins } = context;
      const view = await findContent({ pool: database.pool, plugins }, id);
      output.result(view, () =>
        output.pairs([
          ['id', view.id],
          ['type', view.type],
          ...Object.entries(view.fields).map(([name, value]) => [name, shown(value)] as const),
          ...view.files.flatMap((file) => [
            ['file', describeFile(file)] as const,
            ...file.urls.map((url) => ['url', url] as const),
          ]),
          ...view.versions.map((held) => ['in', held] as const),
        ]),
      );
    }),
  );
  withExamples(command, [['penstock content show 42', '']]);
}

function checkId(id: string): void {
  if (!/^\d{1,18}$/.test(id)) throw new WrongUsage(`The id of a content is a number; found "${id}".`, { found: id });
}

function line({ id, type, fields, files }: ContentView): string {
  return [id, type, Object.values(fields).map(shown).join(' '), ...files.map(describeFile)].join('\t');
}

function describeFile({ relativePath, stored, size }: ContentFile): string {
  return `${relativePath} (${size === null ? 'size not known' : formatBytes(size)}, ${stored ? 'stored' : 'on demand'})`;
}

/** The value of a field, as text. */
export function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
