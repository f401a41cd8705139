import { DefaultLogger, Runtime } from '@temporalio/worker';

import { readSettings } from '../src/settings';
import { connectWorker } from '../src/temporal';
import { createWorker } from '../src/worker';

/** A worker in a process of its own, so that its memory and time can be told from those of the benchmark. */
async function main(): Promise<void> {
  Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
  const settings = readSettings();
  const { connection, namespace } = await connectWorker();
  const worker = await createWorker({
    settings,
    databaseUrl: settings.databaseUrl ?? '',
    connection,
    namespace,
  });
  process.on('SIGTERM', () => {
    worker.stop();
  });
  const running = worker.run();
  process.stdout.write('ready\n');
  await running;
  await connection.close();
}

void main();
