import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

import { startServices, type RunningServices } from '../../src/embedded/services';
import { findTemporalCli } from '../../src/embedded/temporal-cli';

/** What `stop.ts` needs to know, in the process that both run in. */
export interface TestServices {
  readonly services: RunningServices;
  readonly dataDir: string;
  /** No longer watches for the end of this process. */
  readonly unwatch: () => void;
}

declare global {
  var penstockTestServices: TestServices | undefined;
}

/**
 * Starts one PostgreSQL and one Temporal for all tests, before the first of them, and tells the tests where they are. Each test file makes
 * itself a database (`createDatabase`) and uses a task queue of its own.
 */
export default async function startTestServices(): Promise<void> {
  const log = (line: string) => {
    process.stderr.write(`${line}\n`);
  };
  // Outside of the checkout and of the data, so that the CLI is not built for each run.
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const binDir = join(cache, 'penstock', 'bin');
  const dataDir = await mkdtemp(join(tmpdir(), 'penstock-test-'));
  const interrupt = new AbortController();
  const running: { services?: RunningServices } = {};
  // Jest does not call stop.ts when it is interrupted.
  const onSignal = () => {
    if (running.services) process.exit(130);
    interrupt.abort(new Error('interrupted'));
  };
  const onExit = () => {
    running.services?.kill();
    rmSync(dataDir, { recursive: true, force: true });
  };
  const unwatch = () => {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('exit', onExit);
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('exit', onExit);
  const services = await startServices(
    { dataDir, temporalGiven: false, ports: { postgres: 0, temporal: 0, ui: 0 } },
    { log, binDir, durable: false, signal: interrupt.signal },
  );
  running.services = services;
  process.env.PENSTOCK_TEST_DATABASE_URL = services.databaseUrl;
  process.env.PENSTOCK_TEST_TEMPORAL_ADDRESS = services.temporalAddress;
  process.env.PENSTOCK_TEST_TEMPORAL_CLI = await findTemporalCli({ binDir, log });
  globalThis.penstockTestServices = { services, dataDir, unwatch };
}
