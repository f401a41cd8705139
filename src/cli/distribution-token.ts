import type { Command } from 'commander';

import { addToken as makeToken, listTokens, removeToken } from '../distributions/tokens';
import { formatDate } from '../format-date';
import { run, withExamples, withOutput } from './command';
import { duration } from './duration';
import type { Duration } from './duration';
import type { OutputOptions } from './output';

/** `penstock distribution token`. */
export function addToken(distribution: Command): void {
  const token = distribution.command('token').description('tokens that let their bearers read a distribution');
  addAdd(token);
  addList(token);
  addRemove(token);
  withExamples(token, [
    ['penstock distribution token add stable build-machines --expires 90d', 'it is shown this once'],
    ['penstock distribution token remove stable build-machines', 'it is refused from now on'],
  ]);
}

function addAdd(token: Command): void {
  const command = token
    .command('add')
    .description('make a token, and show it this once: only its digest is stored')
    .argument('<distribution>')
    .argument('<name>', 'of the token: who has it, say')
    .option('--expires <time>', 'how long it lasts, as 12h or 30d; for ever where none is given', duration);
  withOutput(command).action((distribution: string, name: string, options: OutputOptions & { expires?: Duration }) =>
    run(options, async (context) => {
      await context.open();
      const made = await makeToken(distribution, name, options.expires?.seconds);
      const { output } = context;
      output.result({ distribution, ...made }, () => [made.token]);
      output.note('Keep it now: it is stored nowhere, and cannot be shown again.');
    }),
  );
  withExamples(command, [
    ['penstock distribution token add stable laptop', 'the token alone is on stdout'],
    ['penstock distribution token add stable build-machines --expires 90d --quiet > token', ''],
  ]);
}

function addList(token: Command): void {
  const command = withOutput(token.command('list').description('list the tokens of a distribution, by their names'));
  command.argument('<distribution>').action((distribution: string, options: OutputOptions) =>
    run(options, async (context) => {
      await context.open();
      const tokens = await listTokens(distribution);
      const { output } = context;
      output.result({ distribution, tokens }, () =>
        output.quiet
          ? tokens.map(({ name }) => name)
          : output.table(
              ['NAME', 'CREATED', 'EXPIRES'],
              tokens.map(({ name, createdAt, expiresAt, expired }) => [
                name,
                formatDate(createdAt) ?? '-',
                `${formatDate(expiresAt) ?? 'never'}${expired ? ', expired' : ''}`,
              ]),
            ),
      );
    }),
  );
  withExamples(command, [['penstock distribution token list stable', '']]);
}

function addRemove(token: Command): void {
  const command = token
    .command('remove')
    .description('remove a token: the next request with it is refused')
    .argument('<distribution>')
    .argument('<name>');
  withOutput(command).action((distribution: string, name: string, options: OutputOptions) =>
    run(options, async (context) => {
      await context.open();
      await removeToken(distribution, name);
      context.output.result({ distribution, removed: name }, () =>
        context.output.quiet ? [] : [`Token "${name}" of distribution "${distribution}" is removed.`],
      );
    }),
  );
  withExamples(command, [['penstock distribution token remove stable laptop', '']]);
}
