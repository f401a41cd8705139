import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import type { LogLevel, MetricsExporterConfig, Runtime } from '@temporalio/worker';
import { pino } from 'pino';
import type { Logger } from 'pino';

import { LogFile } from '../embedded/log-file';
import type { LogLevel as OurLevel, Settings } from '../settings';
import { LogLines } from './log-lines';

const levels: Readonly<Record<OurLevel, LogLevel>> = {
  trace: 'TRACE',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARN',
  error: 'ERROR',
  fatal: 'ERROR',
  silent: 'ERROR',
};

/** Whether errors are shown with their stacks. */
export function isDebugging({ logLevel }: Settings): boolean {
  return logLevel === 'debug' || logLevel === 'trace';
}

/**
 * The log of a worker: on stderr, as lines of JSON, or short ones where that is a terminal; or as JSON in a file below the data
 * folder, where stderr shows something else.
 */
export function openLog(settings: Settings, to: 'stderr' | 'file'): Logger {
  const { logLevel, dataDir } = settings;
  const options = { level: logLevel, serializers: { error: pino.stdSerializers.err } };
  if (to === 'stderr') {
    return pino(options, process.stderr.isTTY ? new LogLines(process.stderr) : pino.destination({ fd: 2, sync: true }));
  }
  mkdirSync(join(dataDir, 'logs'), { recursive: true });
  const fd = new LogFile(join(dataDir, 'logs', 'worker.log')).open();
  return pino(options, pino.destination({ fd, sync: true }));
}

let runtime: Runtime | undefined;

/**
 * Lets Temporal's SDK write to the log, and leaves signals to the commands. What was installed first stays.
 *
 * @param metricsPort - the port of the loopback address where the SDK shows its own metrics; absent: it collects none
 */
export async function installRuntime(logger: Logger, metricsPort?: number): Promise<void> {
  if (runtime) return;
  const { DefaultLogger, Runtime, makeTelemetryFilterString } = await import('@temporalio/worker');
  const level = levels[logger.level as OurLevel];
  // What the native part says at a level is more than most want to know.
  const coreLevel = level === 'DEBUG' ? 'INFO' : level === 'INFO' ? 'WARN' : level;
  runtime = Runtime.install({
    logger: new DefaultLogger(level, ({ level: entryLevel, message, meta }) => {
      const method = entryLevel.toLowerCase() as 'trace' | 'debug' | 'info' | 'warn' | 'error';
      logger[method](meta ?? {}, message);
    }),
    shutdownSignals: [],
    telemetryOptions: {
      logging: { filter: makeTelemetryFilterString({ core: coreLevel, other: 'ERROR' }), forward: {} },
      ...(metricsPort === undefined ? {} : { metrics: sdkMetrics(metricsPort) }),
    },
  });
}

/** In the names and units that Prometheus recommends. */
function sdkMetrics(port: number): MetricsExporterConfig {
  return {
    attachServiceName: false,
    prometheus: {
      bindAddress: `127.0.0.1:${port}`,
      countersTotalSuffix: true,
      unitSuffix: true,
      useSecondsForDurations: true,
    },
  };
}

/** Ends the native part of Temporal's SDK, which keeps a process alive where it was installed and no worker came to run. */
export async function closeRuntime(): Promise<void> {
  await runtime?.shutdown();
}
