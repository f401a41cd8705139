import { types } from 'node:util';

/** What an error is about, for programs: only what applies is there. Never holds a secret. */
export interface ErrorDetails {
  readonly repository?: string;
  readonly remote?: string;
  readonly url?: string;
  readonly path?: string;
  readonly line?: number;
  readonly expected?: string;
  readonly found?: string;
  readonly [more: string]: unknown;
}

/**
 * An error that Penstock knows and a person can act on. Its message says what failed, on which object, what was expected
 * and found, and what to do next. The class name is the stable `type` that Temporal and `--json` show.
 *
 * A `PenstockError` thrown by an activity is final for that attempt of the sync; anything else that is thrown (a lost
 * database connection, say) is retried by Temporal.
 */
export abstract class PenstockError extends Error {
  /** Whether the same command again may succeed without anybody mending anything (exit status 3 instead of 1). */
  readonly transient: boolean = false;

  constructor(
    message: string,
    readonly details: ErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A setting of the environment is missing or cannot be used. */
export class InvalidSetting extends PenstockError {}

/** Makes a thrown value an `Error`, for messages and logs. */
export function asError(thrown: unknown): Error {
  // An error of another realm (a sandbox, a test runner) is no instance of this one's class.
  return thrown instanceof Error || types.isNativeError(thrown) ? thrown : new Error(String(thrown));
}
