import { DefaultLogger, Runtime } from '@temporalio/worker';

let quiet = false;

/** Keeps the worker's log out of a test's output, once for a process; it has to come before the first worker. */
export function quietRuntime(): void {
  if (quiet) return;
  Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
  quiet = true;
}
