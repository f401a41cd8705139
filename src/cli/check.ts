import type { Command } from 'commander';

import { checkConsistency } from '../consistency/check';
import type { CheckName, Checked } from '../consistency/check';
import type { Problem, ProblemKind } from '../consistency/problem';
import { isStorageAtHand, openStorageForReading } from '../storage/open-storage';
import { formatCount, formatSeconds, plural } from './amounts';
import { run, wholeNumber, withExamples, withOutput } from './command';
import type { CommandContext } from './command';
import { noteDrain } from './drain-note';
import { exitStatus } from './exit-status';
import type { Output, OutputOptions } from './output';

type CheckOptions = OutputOptions & { deep?: boolean; olderThan: number; limit: number };

/** What each check looks at, for people. */
const objects: Readonly<Record<CheckName, string>> = {
  versions: 'complete versions',
  incompleteVersions: 'incomplete versions',
  contents: 'contents',
  contentArtifacts: 'files of contents',
  artifacts: 'artifacts',
  storedFiles: 'files in the storage',
  pinnedMetadata: 'pinned metadata files',
  stagedSyncs: 'syncs with staging',
  runningSyncs: 'running syncs',
};

/** `penstock check`. */
export function checkCommand(program: Command): void {
  const command = program
    .command('check')
    .description('check that database and storage agree, also while syncs run; changes nothing')
    .option('--deep', "read every artifact's file and compare its digests")
    .option(
      '--older-than <hours>',
      'of files that nothing needs, only those that are older',
      wholeNumber(0, 100_000),
      24,
    )
    .option('--limit <n>', 'print at most so many problems of a kind; all are counted', wholeNumber(0), 100);
  withOutput(command).action((options: CheckOptions) => run(options, (context) => check(context, options)));
  withExamples(command, [
    ['penstock check', 'ends with 1 where something is wrong'],
    ['penstock check --deep --quiet', 'prints problems, and nothing where there are none'],
    ['penstock check --json | jq -r ".problems[].mend"', ''],
  ]);
}

async function check(context: CommandContext, { deep = false, olderThan, limit }: CheckOptions): Promise<void> {
  const session = await context.open();
  const { output, plugins, settings, interruption } = context;
  await noteDrain(context, session);
  const checked: Partial<Record<CheckName, Checked>> = {};
  const counts: Partial<Record<ProblemKind, number>> = {};
  const problems: Problem[] = [];
  const findings = checkConsistency({
    pool: session.database.pool,
    plugins,
    storage: isStorageAtHand(settings) ? await openStorageForReading(settings) : undefined,
    place: settings.storage,
    client: await session.clientIfRunning(),
    deep,
    olderThan,
    signal: interruption.signal,
  });
  for await (const finding of findings) {
    if ('begun' in finding) output.note(`Checking the ${objects[finding.begun]} …`);
    else if ('over' in finding) checked[finding.over] = finding.checked;
    else {
      const { problem } = finding;
      const count = (counts[problem.kind] ?? 0) + 1;
      counts[problem.kind] = count;
      if (count > limit) continue;
      if (output.json) problems.push(problem);
      else await output.item(problem, () => describe(output, problem));
      if (output.closed) break;
    }
  }
  if (output.json) output.result({ checked, counts, problems }, () => []);
  else sumUp(output, checked, counts, limit);
  if (Object.keys(counts).length > 0) process.exitCode = exitStatus.failed;
}

function describe(output: Output, { kind, message, mend }: Problem): string {
  return `${output.paint('red', kind)}: ${message} ${mend}`;
}

function sumUp(
  output: Output,
  checked: Readonly<Partial<Record<CheckName, Checked>>>,
  counts: Readonly<Partial<Record<ProblemKind, number>>>,
  limit: number,
): void {
  const kinds = Object.entries(counts);
  const rows = Object.entries(checked) as [CheckName, Checked][];
  const table = output.table(
    ['CHECKED', 'COUNT', 'TIME'],
    rows.map(([name, { count, seconds }]) => [
      objects[name],
      count === null ? 'not checked' : formatCount(count),
      formatSeconds(seconds),
    ]),
  );
  for (const line of kinds.length > 0 ? ['', ...table] : table) output.done(line);
  for (const reason of new Set(rows.map(([, { notChecked }]) => notChecked))) if (reason !== null) output.warn(reason);
  for (const [kind, count] of kinds) {
    const more = count > limit ? `, of which ${formatCount(limit)} were printed (--limit)` : '';
    output.done(`${kind}: ${plural(count, 'problem')}${more}`);
  }
  output.done(kinds.length === 0 ? output.paint('green', 'No problem was found.') : 'Something is wrong.');
}
