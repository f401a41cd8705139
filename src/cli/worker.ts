import type { Command } from 'commander';

import { describeTarget } from '../temporal';
import { run, withExamples, withOutput } from './command';
import type { OutputOptions } from './output';
import { describeDatabase } from './schema';
import { aborted } from './signals';
import { describeVersion, warnWithoutVersion } from './sync-places';

/** `penstock worker`. */
export function workerCommand(program: Command): void {
  const command = withOutput(
    program.command('worker').description('run syncs until SIGTERM or Ctrl-C, which let go of what is under way first'),
  );
  command.action((options: OutputOptions) =>
    run(
      options,
      async (context) => {
        const { output, interruption, settings } = context;
        const session = await context.open({ temporal: true, start: { for: 'A worker' } });
        const worker = await session.startWorker('stderr');
        const { address, namespace } = describeTarget({ embeddedAddress: session.addresses.temporalAddress });
        const database = describeDatabase(session.addresses.databaseUrl);
        const { version = null, watchUrl: http = null } = worker;
        output.result({ taskQueue: settings.taskQueue, temporal: address, namespace, database, http, version }, () => [
          `The worker polls task queue ${settings.taskQueue} of namespace ${namespace} at ${address}; its database is at ${database}.${http === null ? '' : ` It answers at ${http}.`}`,
          ...(version ? [describeVersion(version)] : []),
        ]);
        if (version) await warnWithoutVersion(session, output);
        await Promise.race([aborted(interruption.signal), worker.failed]);
        output.note('The worker stops.');
      },
      { handlesSignals: true },
    ),
  );
  withExamples(command, [
    ['DATABASE_URL=… TEMPORAL_ADDRESS=… penstock worker', ''],
    ['PENSTOCK_LOG_LEVEL=info penstock worker', 'its log is on stderr: JSON lines where that is no terminal'],
    ['PENSTOCK_HTTP_ADDRESS=127.0.0.1:9464 penstock worker', 'with /metrics, /livez and /readyz'],
  ]);
}
