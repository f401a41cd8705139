import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import type { LogLevel, Runtime } from '@temporalio/worker';
import { pino } from 'pino';
import type { Logger } from 'pino';

import { LogFile } from '../embedded/log-file';
import { InvalidSetting } from '../errors';
import type { Settings } from '../settings';

const levels: Readonly<Record<string, LogLevel>> = {
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
 * The log of a worker, as JSON lines: on stderr, or in a file below the data folder where a person looks at stderr.
 *
 * @throws {@link InvalidSetting}
 */
export function openLog(settings: Settings, to: 'stderr' | 'file'): Logger {
  const { logLevel, dataDir } = settings;
  if (!(logLevel in levels)) {
    const expected = Object.keys(levels).join(', ');
    throw new InvalidSetting(`PENSTOCK_LOG_LEVEL must be one of ${expected}; found "${logLevel}".`, {
      expected,
      found: logLevel,
    });
  }
  if (to === 'stderr') return pino({ level: logLevel }, pino.destination({ fd: 2, sync: true }));
  mkdirSync(join(dataDir, 'logs'), { recursive: true });
  const fd = new LogFile(join(dataDir, 'logs', 'worker.log')).open();
  return pino({ level: logLevel }, pino.destination({ fd, sync: true }));
}

let runtime: Runtime | undefined;

/** Lets Temporal's SDK write to the log, and leaves signals to the commands. What was installed first stays. */
export async function installRuntime(logger: Logger): Promise<void> {
  if (runtime) return;
  const { DefaultLogger, Runtime, makeTelemetryFilterString } = await import('@temporalio/worker');
  const level = levels[logger.level] ?? 'WARN';
  const coreLevel = level === 'INFO' ? 'WARN' : level;
  runtime = Runtime.install({
    logger: new DefaultLogger(level, ({ level: entryLevel, message, meta }) => {
      const method = entryLevel.toLowerCase() as 'trace' | 'debug' | 'info' | 'warn' | 'error';
      logger[method](meta ?? {}, message);
    }),
    shutdownSignals: [],
    telemetryOptions: {
      logging: { filter: makeTelemetryFilterString({ core: coreLevel, other: 'ERROR' }), forward: {} },
    },
  });
}

/** Ends the native part of Temporal's SDK, which keeps a process alive where it was installed and no worker came to run. */
export async function closeRuntime(): Promise<void> {
  await runtime?.shutdown();
}
