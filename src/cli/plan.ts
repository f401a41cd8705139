import type { Command } from 'commander';

import { openSecretBox } from '../models/remote-secrets';
import type { PlannedChange } from '../planning/count-plan';
import { planSync } from '../planning/plan-sync';
import type { SyncPlan } from '../planning/plan-sync';
import { openStorageForReading } from '../storage/open-storage';
import { formatBytes, formatCount, plural } from './amounts';
import { run, wholeNumber, withExamples, withOutput } from './command';
import { shown } from './content';
import type { Output, OutputOptions } from './output';

type PlanOptions = OutputOptions & { mirror?: boolean; optimize: boolean; list?: number | true };

/** Contents that `--list` names where it says no number. */
const standardList = 1000;

/** `penstock plan`. */
export function planCommand(program: Command): void {
  const command = program
    .command('plan')
    .description("say what a sync would do: reads upstream's metadata, and changes nothing")
    .argument('<repository>')
    .option('--mirror', 'for a sync with --mirror: what upstream does not have is removed')
    .option('--no-optimize', 'for a sync with --no-optimize: look at everything, also where nothing has changed')
    .option('--list [n]', `name contents that come (+) and go (-), at most so many (${standardList})`, wholeNumber(1));
  withOutput(command).action((repository: string, options: PlanOptions) =>
    run(
      options,
      async (context) => {
        const { output, plugins, settings, interruption } = context;
        const { database } = await context.open();
        const plan = await planSync(
          {
            database,
            plugins,
            settings,
            storage: await openStorageForReading(settings),
            secrets: () => openSecretBox(settings),
          },
          {
            repository,
            mode: options.mirror ? 'mirror' : 'additive',
            optimize: options.optimize,
            listed: options.list === true ? standardList : (options.list ?? 0),
          },
          interruption.signal,
        );
        output.result(plan, () => describe(output, plan));
      },
      { handlesSignals: true },
    ),
  );
  withExamples(command, [
    ['penstock plan files', 'what comes, what goes, and how much is to be downloaded'],
    ['penstock plan files --mirror --list 20', 'with the first 20 contents that go and come'],
    ['penstock plan files --json | jq .downloads.bytes', ''],
  ]);
}

function describe(output: Output, plan: SyncPlan): string[] {
  const { changes, contents, unexplored, stagesNotRun } = plan;
  const named = changes.map(line);
  const left = plan.added + plan.removed - changes.length;
  if (named.length > 0 && left > 0) named.push(`and ${formatCount(left)} more`);
  if (output.quiet) return named;
  const lines = [describeCourse(plan)];
  if (plan.course === 'skip') return lines;
  if (contents.length > 0) lines.push('', ...contentTable(output, plan));
  lines.push('', ...downloadLines(output, plan));
  if (unexplored > 0) {
    const lead = unexplored === 1 ? 'content leads' : 'contents lead';
    lines.push(`${formatCount(unexplored)} ${lead} to more, which is known only once their files are downloaded.`);
  }
  if (stagesNotRun.length > 0) {
    lines.push(
      `Not run: the plugin's own ${stagesNotRun.length === 1 ? 'stage' : 'stages'} ${stagesNotRun.join(', ')}, which may change, drop or refuse contents.`,
    );
  }
  return named.length > 0 ? [...lines, '', ...named] : lines;
}

function describeCourse({ repository, course, interrupted, baseVersion, added, removed, present }: SyncPlan): string {
  const name = `A sync of "${repository}"`;
  if (course === 'skip') {
    return `${name} would be skipped: nothing has changed since the last one. Version ${formatCount(baseVersion)} stays, with ${plural(present, 'content')}.`;
  }
  const begins =
    course === 'resume' && interrupted
      ? `${name} would go on with version ${formatCount(interrupted.version)}, which was begun`
      : interrupted
        ? `${name} would throw away version ${formatCount(interrupted.version)}, which was begun, as upstream or the remote has changed, and begin anew`
        : name;
  const result =
    added + removed === 0
      ? `make no new version: version ${formatCount(baseVersion)} stays, with ${plural(present, 'content')}`
      : `add ${formatCount(added)} and remove ${formatCount(removed)}: ${plural(present, 'content')} after version ${formatCount(baseVersion)}`;
  return begins === name ? `${name} would ${result}.` : `${begins}. It would ${result}.`;
}

function contentTable(output: Output, { contents }: SyncPlan): string[] {
  return output.table(
    ['TYPE', 'NEW', 'KNOWN', 'REPLACED', 'REMOVED', 'KEPT'],
    contents.map((each) => [
      each.type,
      ...[each.new, each.known, each.replaced, each.removed, each.kept].map(formatCount),
    ]),
  );
}

function downloadLines(output: Output, { downloads, deferred }: SyncPlan): string[] {
  const later = deferred > 0 ? [`${plural(deferred, 'file')} would be fetched at their first request.`] : [];
  if (downloads.files === 0) return ['Nothing would be downloaded.', ...later];
  const unknown =
    downloads.unknownSizes > 0 ? `, and ${formatCount(downloads.unknownSizes)} of a size that is not known` : '';
  const known = plural(downloads.files - downloads.unknownSizes, 'file');
  return [
    ...output.table(
      ['DOWNLOADS FROM', 'FILES', 'BYTES', 'SIZE NOT KNOWN'],
      downloads.hosts.map(({ host, files, bytes, unknownSizes }) => [
        host,
        formatCount(files),
        formatBytes(bytes),
        formatCount(unknownSizes),
      ]),
    ),
    `In all ${known}, ${formatBytes(downloads.bytes)}${unknown}.`,
    ...later,
  ];
}

/** As `version diff` prints it. */
function line({ change, type, fields }: PlannedChange): string {
  return [change === 'added' ? '+' : '-', type, Object.values(fields).map(shown).join(' ')].join('\t');
}
