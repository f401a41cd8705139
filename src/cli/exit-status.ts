import { CommanderError } from 'commander';

import { InvalidSetting, PenstockError, asError } from '../errors';
import { InvalidValue } from '../repositories/errors';

/**
 * The exit status of every command.
 *
 * `ok`; `failed`: somebody has to look; `usage`: the command line or a setting is wrong; `again`: the same command again may
 * succeed.
 */
export const exitStatus = { ok: 0, failed: 1, usage: 2, again: 3 } as const;

/** The command line asks for something that makes no sense. */
export class WrongUsage extends PenstockError {}

/** PostgreSQL does not answer, or does not let Penstock in. */
export class DatabaseUnreachable extends PenstockError {
  constructor(
    message: string,
    details: ConstructorParameters<typeof PenstockError>[1],
    override readonly transient: boolean,
    options?: ErrorOptions,
  ) {
    super(message, details, options);
  }
}

/** The connection to a service was lost in the middle of a command. */
export class ConnectionLost extends PenstockError {
  override readonly transient = true;
}

/** Somebody has pressed Ctrl-C, or sent a signal. */
export class Interrupted extends PenstockError {
  override readonly transient = true;
}

/** The exit status for an error. */
export function statusOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitStatus.ok : exitStatus.usage;
  if (error instanceof WrongUsage || error instanceof InvalidValue || error instanceof InvalidSetting) {
    return exitStatus.usage;
  }
  if (error instanceof PenstockError) return error.transient ? exitStatus.again : exitStatus.failed;
  return isConnectionError(error) ? exitStatus.again : exitStatus.failed;
}

/** Codes of Node and SQLSTATEs that say: the server cannot be reached now, or ends the connection. */
const lostCodes: ReadonlySet<unknown> = new Set([
  ...[
    'ECONNREFUSED',
    'ECONNRESET',
    'EPIPE',
    'ETIMEDOUT',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ENOTFOUND',
    'EAI_AGAIN',
    'ENOENT',
  ],
  ...['08000', '08001', '08003', '08006', '53300', '57P01', '57P02', '57P03'],
]);

/** gRPC status codes: canceled by the end of the connection, deadline exceeded, resource exhausted, aborted, unavailable. */
const lostGrpcCodes: ReadonlySet<unknown> = new Set([1, 4, 8, 10, 14]);

/** Whether an error only says that a connection to PostgreSQL or Temporal is lost. */
export function isConnectionError(error: unknown): boolean {
  if (error instanceof ConnectionLost) return true;
  if (error instanceof DatabaseUnreachable) return error.transient;
  if (!(error instanceof Error)) return false;
  const { code, errors, parent } = error as Error & { code?: unknown; errors?: unknown[]; parent?: unknown };
  // By its name: most commands do not load Temporal's client.
  if (error.name === 'ServiceError') return lostGrpcCodes.has((error.cause as { code?: unknown } | undefined)?.code);
  if (lostCodes.has(code)) return true;
  if (error.name.startsWith('SequelizeConnection') || error.name === 'TemporalUnreachable') return true;
  // What pg says when the socket closes under a query, without any code.
  if (/^(Connection terminated|Client has encountered a connection error)/.test(error.message)) return true;
  return [...(errors ?? []), parent, error.cause].some((inner) => inner !== undefined && isConnectionError(inner));
}

/** An error as `--json` shows it. */
export function errorDocument(error: unknown): Record<string, unknown> {
  const { name, message } = asError(error);
  return {
    type: name,
    message: messageOf(error),
    transient: statusOf(error) === exitStatus.again,
    ...(error instanceof PenstockError ? { details: error.details } : message ? {} : { details: {} }),
  };
}

/** What a person is told: the message of an error that is made for people as it is, of all others one line. */
export function messageOf(error: unknown): string {
  if (error instanceof PenstockError) return error.message;
  const { name, message, cause } = asError(error);
  const why = cause instanceof Error && !message.includes(cause.message) ? ` (${cause.message})` : '';
  const line = `${message || name}${why}`.replace(/\s*\n\s*/g, ' ').slice(0, 2000);
  return isConnectionError(error)
    ? `The connection to a service was lost: ${line}`
    : `Unexpected error: ${line} (PENSTOCK_LOG_LEVEL=debug shows more)`;
}
