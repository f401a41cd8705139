import type { Command } from 'commander';

import { findServices } from '../embedded/services';
import type { ServiceAddresses } from '../embedded/services';
import { PenstockError } from '../errors';
import type { Settings } from '../settings';
import { describeTarget } from '../temporal';
import { run, withExamples, withOutput } from './command';
import type { OutputOptions } from './output';
import { describeDatabase } from './schema';
import { aborted } from './signals';
import { describeVersion, warnWithoutVersion } from './sync-places';

/** Another process runs the services of this data folder. */
export class AlreadyUp extends PenstockError {}

/** `penstock up`. */
export function upCommand(program: Command): void {
  const command = withOutput(
    program
      .command('up')
      .description(
        'run PostgreSQL, Temporal with its Web UI, a worker and the content app on this machine, until Ctrl-C',
      ),
  );
  command.action((options: OutputOptions) =>
    run(
      options,
      async (context) => {
        const { output, interruption, settings } = context;
        await refuseSecond(settings);
        const session = await context.open({ temporal: true });
        if (!session.own && !session.given) await refuseSecond(settings);
        const { version = null, watchUrl: http = null } = await session.startWorker('stderr');
        const content = `${(await session.startContentApp()).url}/pulp/content/`;
        const addresses = { ...shownAddresses(settings, session.addresses), content, http, dataDir: settings.dataDir };
        output.result({ ...addresses, version }, () => [
          ...output.pairs([
            ...describe(addresses),
            ['Content', content],
            ['Metrics', http === null ? undefined : `${http}/metrics`],
          ]),
          ...(version ? [describeVersion(version)] : []),
          ...(output.quiet ? [] : ['', 'Ready. Ctrl-C stops all of it; syncs go on at the next start.']),
        ]);
        if (version) await warnWithoutVersion(session, output);
        await Promise.race([aborted(interruption.signal), session.failed]);
        output.note(
          'Stopping: the worker and the content app, then Temporal and PostgreSQL. Ctrl-C again ends at once.',
        );
        await context.close();
        output.note('Stopped.');
      },
      { handlesSignals: true },
    ),
  );
  withExamples(command, [
    ['penstock up', ''],
    ['PENSTOCK_DATA=/srv/penstock penstock up --json', 'the addresses as JSON, once all is ready'],
  ]);
}

interface ShownAddresses {
  readonly postgres: string;
  readonly temporal: string;
  readonly webUi: string | null;
  readonly taskQueue: string;
}

function shownAddresses(
  settings: Settings,
  { databaseUrl, temporalAddress, uiAddress }: ServiceAddresses,
): ShownAddresses {
  return {
    postgres: describeDatabase(databaseUrl),
    temporal: describeTarget({ embeddedAddress: temporalAddress }).address,
    webUi: uiAddress ?? null,
    taskQueue: settings.taskQueue,
  };
}

function describe({ postgres, temporal, webUi, taskQueue }: ShownAddresses): (readonly [string, string | undefined])[] {
  return [
    ['PostgreSQL', postgres],
    ['Temporal', temporal],
    ['Web UI', webUi ?? undefined],
    ['Worker', `task queue ${taskQueue}`],
  ];
}

/** Says where the services are that run already. */
async function refuseSecond(settings: Settings): Promise<void> {
  if (settings.databaseUrl !== undefined && settings.temporalGiven) return;
  const found = await findServices(settings);
  if (!found) return;
  const lines = describe(shownAddresses(settings, found)).flatMap(([name, value]) =>
    value ? [`  ${name}: ${value}`] : [],
  );
  throw new AlreadyUp(
    [
      `The services of ${settings.dataDir} run already; use them, or stop the process that runs them:`,
      ...lines.slice(0, 3),
    ].join('\n'),
    { path: settings.dataDir, ...shownAddresses(settings, found) },
  );
}
