// A process that owns embedded services, as Penstock does: it is run by Node itself, not by Jest, and killed by tests.
import { once } from 'node:events';

import { findServices, startServices, type ServiceSettings } from '../../src/embedded/services';

const print = (line: Record<string, unknown>) => {
  process.stdout.write(`${JSON.stringify(line)}\n`);
};

async function main(): Promise<void> {
  const [verb, json = '{}'] = process.argv.slice(2);
  const settings = JSON.parse(json) as ServiceSettings;
  if (verb === 'find') {
    print({ found: await findServices(settings) });
    return;
  }
  const begun = Date.now();
  const log = (message: string) => {
    print({ message });
  };
  const services = await startServices(settings, { log });
  const { databaseUrl, temporalAddress, uiAddress } = services;
  print({ started: { databaseUrl, temporalAddress, uiAddress }, ms: Date.now() - begun });
  services.failed.catch((error: unknown) => {
    print({ failed: String(error) });
  });
  // A signal handler alone does not keep Node alive; the servers do.
  await once(process, 'SIGTERM');
  const stopping = Date.now();
  await services.stop();
  print({ stopped: Date.now() - stopping });
}

main().catch((error: unknown) => {
  print({ error: error instanceof Error ? `${error.name}: ${error.message}` : String(error) });
  process.exitCode = 1;
});
