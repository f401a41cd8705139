import { Context, heartbeat } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { ActivityExecuteInput, ActivityInboundCallsInterceptor, Next } from '@temporalio/worker';

import { DownloadError, DownloadFailed } from '../src/downloads/download-error';
import { PenstockError, asError } from '../src/errors';
import { InvalidMetadata } from '../src/plugins/invalid-metadata';
import { StorageUnreachable } from '../src/storage/storage-error';
import type { SyncRepositories } from './sync-repositories';

/** Milliseconds between heartbeats; a cancellation reaches an activity with the next one. */
const heartbeatInterval = 1000;
/** Characters of a message: Temporal keeps 4 KB of a failure in its state. */
const longestMessage = 3000;
/** Characters of a value beside it. */
const longestDetail = 500;

const heartbeatDetails = new WeakMap<Context, () => unknown>();

/** Says what the heartbeats of the current activity carry: how far it is, for people who look. */
export function describeHeartbeats(details: () => unknown): void {
  heartbeatDetails.set(Context.current(), details);
}

/** Lets every activity heartbeat, so that one whose worker has died is soon tried again. */
export class HeartbeatInterceptor implements ActivityInboundCallsInterceptor {
  async execute(input: ActivityExecuteInput, next: Next<ActivityInboundCallsInterceptor, 'execute'>): Promise<unknown> {
    const context = Context.current();
    const timer = setInterval(() => {
      heartbeat(heartbeatDetails.get(context)?.());
    }, heartbeatInterval);
    try {
      return await next(input);
    } finally {
      clearInterval(timer);
    }
  }
}

/** What a storage or a file system answers again and again, until a person has mended it. */
const lastingCodes: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR', 'EIO']);

/** The code is wrong, Penstock's or a plugin's: the same attempt again ends the same way. */
export class ProgrammingError extends PenstockError {
  constructor(error: Error) {
    super(
      `${error.name}: ${error.message}. This is a defect of Penstock or of a plugin; once it is mended, sync again.`,
      {},
      { cause: error },
    );
  }
}

/** The file system refuses what Penstock has to do. */
export class StorageUnusable extends PenstockError {
  constructor(error: Error) {
    super(`The storage cannot be used (${error.message}). Once it can be, sync again.`, {}, { cause: error });
  }
}

/** The error that Penstock knows in what was thrown; `undefined` where Temporal is to try again. */
function asKnown(thrown: unknown): PenstockError | undefined {
  if (thrown instanceof StorageUnreachable) return undefined;
  if (thrown instanceof PenstockError) return thrown;
  const error = asError(thrown);
  const { code = codeOf(error.cause), syscall } = error as NodeJS.ErrnoException;
  if (syscall !== undefined && syscall !== 'connect' && lastingCodes.has(code ?? '')) return new StorageUnusable(error);
  const ofNode = code?.startsWith('ERR_') ?? true;
  return programmingErrors.has(error.name) && ofNode ? new ProgrammingError(error) : undefined;
}

/** A lost connection may come as the cause of a `TypeError`, as from the global `fetch`. */
function codeOf(cause: unknown): string | undefined {
  return cause === undefined ? undefined : (asError(cause) as NodeJS.ErrnoException).code;
}

/** By name, as an error of another realm is no instance of this one's class. */
const programmingErrors: ReadonlySet<string> = new Set([
  'TypeError',
  'RangeError',
  'ReferenceError',
  'SyntaxError',
  'URIError',
]);

/**
 * Casts the errors that Penstock knows: they are final, with a stable type, and name the repository that was synced. All
 * others are retried by Temporal.
 */
export class ErrorInterceptor implements ActivityInboundCallsInterceptor {
  constructor(private readonly repositories: SyncRepositories) {}

  async execute(input: ActivityExecuteInput, next: Next<ActivityInboundCallsInterceptor, 'execute'>): Promise<unknown> {
    try {
      return await next(input);
    } catch (thrown) {
      const error = asKnown(thrown);
      if (!error) throw thrown;
      const repository = error.details.repository ?? (await this.repositories.find(input.args[0]));
      const message = printable(messageOf(error, repository));
      throw ApplicationFailure.create({
        type: error.name,
        message: message.length > longestMessage ? `${message.slice(0, longestMessage)}…` : message,
        nonRetryable: true,
        details: [
          { transient: error.transient, ...(repository === undefined ? {} : { repository }), ...boundedDetails(error) },
        ],
      });
    }
  }
}

/** What failed for which repository, and what to do next where the error itself does not say. */
function messageOf(error: PenstockError, repository: string | undefined): string {
  const { message } = error;
  const named = repository === undefined || message.includes(`epository "${repository}"`);
  const whole = named ? message : `Repository "${repository}": ${message}`;
  if (error instanceof InvalidMetadata)
    return `${whole.replace(/\.?$/, '.')} Once upstream is mended, sync again: what is saved already is kept.`;
  if (error instanceof DownloadFailed || error instanceof DownloadError) {
    const advice = error.transient ? 'Sync again later' : 'Once upstream or the remote is mended, sync again';
    return `${whole.replace(/\.$/, '')}. ${advice}: what is saved already is kept.`;
  }
  return whole;
}

/** What upstream says may hold control characters: escaped, they neither act on a terminal nor upset a database. */
function printable(text: string): string {
  return text.replace(
    /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]|\p{Surrogate}/gu,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Short values only: lists stay where they are, in the database or the log. */
function boundedDetails({ details }: PenstockError): Record<string, unknown> {
  const bounded: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(details)) {
    if (typeof value === 'number') bounded[name] = value;
    if (typeof value === 'string') bounded[name] = printable(value.slice(0, longestDetail));
  }
  return bounded;
}
