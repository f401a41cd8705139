import type { DestinationStream } from 'pino';

import { printable } from './output';

/** A line of the log, as pino writes it. */
interface Line {
  readonly time: number;
  readonly level: number;
  readonly msg?: string;
  readonly repository?: string;
  readonly stage?: string;
  readonly batch?: number;
  readonly error?: { readonly message?: string };
  readonly [more: string]: unknown;
}

/** Characters of a line. */
const longestLine = 400;
const levels: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};
/** Shown in front, in words of their own, or of use to programs only. */
const notShown: ReadonlySet<string> = new Set([
  ...['time', 'level', 'msg', 'pid', 'hostname', 'repository', 'stage', 'batch', 'error'],
  ...[
    'sync',
    'discovery',
    'workflowId',
    'runId',
    'workflowType',
    'activityId',
    'namespace',
    'taskQueue',
    'sdkComponent',
  ],
  ...['isLocal', 'target', 'spanContexts', 'log_timestamp'],
]);

/** The log for a person at a terminal: one short line each. */
export class LogLines implements DestinationStream {
  constructor(private readonly terminal: Pick<NodeJS.WriteStream, 'write'>) {}

  write(line: string): void {
    this.terminal.write(`${describeLine(JSON.parse(line) as Line)}\n`);
  }
}

/** As `12:03:04 warn  files, downloadArtifacts 3: Activity failed: connection refused attempt=2`. */
export function describeLine(line: Line): string {
  const { time, level, msg = '', repository, stage, batch, error } = line;
  const subject = [repository, [stage, batch].filter((part) => part !== undefined).join(' ')]
    .filter(Boolean)
    .join(', ');
  const said = [subject, msg, error?.message].filter(Boolean).join(': ');
  const more = Object.entries(line)
    .filter(([name]) => !notShown.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const clock = new Date(time).toTimeString().slice(0, 8);
  const whole = [clock, (levels[level] ?? '').padEnd(5), said, ...more].join(' ').replace(/\s*\n\s*/g, ' ');
  return printable(whole.length > longestLine ? `${whole.slice(0, longestLine)}…` : whole);
}
