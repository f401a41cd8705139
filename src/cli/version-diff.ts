import type { Command } from 'commander';

import { countChanges, listChanges } from '../repositories/diff-versions';
import type { ContentChange } from '../repositories/diff-versions';
import { findVersion } from '../repositories/versions';
import { formatCount } from './amounts';
import { run, versionNumber, wholeNumber, withExamples, withOutput } from './command';
import { shown } from './content';
import type { OutputOptions } from './output';

/** `penstock version diff`. */
export function addDiff(version: Command): void {
  const command = version
    .command('diff')
    .description('list what version B has and version A has not (+), and the reverse (-); with --json, a line for each')
    .argument('<repository>')
    .argument('<A>', 'a version', versionNumber)
    .argument('<B>', 'another version', versionNumber)
    .option('--limit <n>', 'list at most so many; the totals are those of all', wholeNumber(1));
  withOutput(command).action(
    (repository: string, from: number, to: number, options: OutputOptions & { limit?: number }) =>
      run(options, async (context) => {
        const { database } = await context.open();
        for (const number of [from, to]) await findVersion(repository, number);
        const { output, plugins } = context;
        const store = { pool: database.pool, plugins };
        const pair = { repository, from, to };
        for await (const change of listChanges(store, pair, options.limit ?? Infinity)) {
          if (output.closed) return;
          await output.item(change, () => line(change, output.quiet));
        }
        if (output.quiet && !output.json) return;
        const totals = await countChanges(store, pair);
        await output.item(totals, () => `${formatCount(totals.added)} added, ${formatCount(totals.removed)} removed`);
      }),
  );
  withExamples(command, [
    ['penstock version diff files 3 4', 'type and natural key, between tabs'],
    ['penstock version diff files 3 4 --json | jq -r "select(.change) | .fields.relativePath"', ''],
  ]);
}

function line({ change, id, type, fields }: ContentChange, quiet: boolean): string {
  const sign = change === 'added' ? '+' : '-';
  return quiet ? `${sign}\t${id}` : [sign, type, Object.values(fields).map(shown).join(' ')].join('\t');
}
