import type { Command } from 'commander';

import { run, wholeNumber, withExamples, withOutput } from './command';
import { WrongUsage, exitStatus } from './exit-status';
import type { OutputOptions } from './output';
import { historiesOfFiles, lastHistories, newestHistory } from './replay-histories';
import type { RecordedHistory } from './replay-histories';
import { replayHistories } from './replay-run';
import type { Replayed } from './replay-run';

type ReplayOptions = OutputOptions & { workflow?: string; last?: number };

/** `penstock replay`. */
export function replayCommand(program: Command): void {
  const command = program
    .command('replay')
    .description('replay histories against the code at hand: would running syncs go on with it?')
    .argument('[files...]', 'recorded histories, as JSON')
    .option('--workflow <name>', 'the newest run of a workflow, by its id or its repository')
    .option('--last <n>', 'the last n syncs that are over', wholeNumber(1, 10_000));
  withOutput(command).action((files: string[], options: ReplayOptions) =>
    run(options, async (context) => {
      const sources = [files.length > 0, options.workflow !== undefined, options.last !== undefined].filter(Boolean);
      if (sources.length !== 1) throw new WrongUsage('Give either files, or --workflow NAME, or --last N.');
      const histories = files.length > 0 ? historiesOfFiles(files) : await liveHistories(context, options);
      const { output, settings } = context;
      const replayed: Replayed[] = [];
      for await (const each of replayHistories(settings, histories)) {
        replayed.push(each);
        const mark = each.deterministic
          ? output.paint('green', 'deterministic')
          : output.paint('red', 'NOT deterministic');
        if (!output.json && !(output.quiet && each.deterministic)) {
          await output.item(each, () => [`${each.name}: ${mark}`, ...describe(each)].join('\n'));
        }
      }
      const broken = replayed.filter(({ deterministic }) => !deterministic).length;
      if (output.json) output.result({ replayed, broken }, () => []);
      if (replayed.length === 0) output.note('There is no history to replay.');
      if (broken > 0) process.exitCode = exitStatus.failed;
    }),
  );
  withExamples(command, [
    ['penstock replay test/histories/*.json', 'before a deployment'],
    ['penstock replay --workflow files', 'also sync/files'],
    ['penstock replay --last 20', ''],
  ]);
}

async function liveHistories(
  context: Parameters<Parameters<typeof run>[1]>[0],
  { workflow, last }: ReplayOptions,
): Promise<AsyncIterable<RecordedHistory>> {
  const { client } = await context.open({ temporal: true });
  return workflow === undefined ? lastHistories(client, last ?? 1) : newestHistory(client, workflow);
}

function describe({ event, reason }: Replayed): string[] {
  if (reason === null) return [];
  return [`  ${event === null ? '' : `at event ${event}: `}${reason}`];
}
