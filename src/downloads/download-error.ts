import { PenstockError, type ErrorDetails } from '../errors';
import { displayUrl } from './display-url';

/** One thing that went wrong with one request or body. What a download ends with is a {@link DownloadFailed}. */
export abstract class DownloadError extends PenstockError {
  /** Whether the same url is tried again within `maxRetries`. */
  abstract readonly retried: boolean;
  /** Milliseconds until the server wants to be asked again (`Retry-After`). */
  readonly retryAfter: number | undefined = undefined;

  constructor(
    url: string,
    /** What went wrong, as half a sentence that follows the url. */
    readonly reason: string,
    details: ErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(`${displayUrl(url)}: ${reason}`, { url: displayUrl(url), ...details }, options);
  }
}

/** The server, or the proxy before it, answered with a status that is no success. */
export class UnexpectedStatus extends DownloadError {
  readonly retried: boolean;
  override readonly transient: boolean;
  override readonly retryAfter: number | undefined;
  readonly by: 'the server' | 'the proxy';

  constructor(
    url: string,
    readonly status: number,
    {
      retryAfter,
      by = 'the server',
      hint = '',
    }: { retryAfter?: number | undefined; by?: 'the server' | 'the proxy'; hint?: string } = {},
  ) {
    super(url, `${by} answered ${status}${hint && `; ${hint}`}`, { status, expected: '200', found: String(status) });
    this.retried = this.transient = status === 429 || status >= 500;
    this.retryAfter = retryAfter;
    this.by = by;
  }
}

/** The bytes are others than were declared. */
export class DigestMismatch extends DownloadError {
  readonly retried = true;

  constructor(url: string, name: string, expected: string, found: string) {
    super(url, `expected ${name} ${expected}, found ${found}`, { digest: name, expected, found });
  }
}

/** There are more or fewer bytes than were declared. */
export class SizeMismatch extends DownloadError {
  readonly retried = true;

  constructor(url: string, expected: number, found: number | 'more') {
    const shown = found === 'more' ? `more than ${expected}` : String(found);
    super(url, `expected ${expected} bytes, found ${shown}`, { expected: String(expected), found: shown });
  }
}

/** A part of a file was asked for, and another one came, or one of another file. */
export class WrongPart extends DownloadError {
  readonly retried = false;

  constructor(url: string, expected: string, found: string) {
    super(url, `expected the part ${expected}, found ${found}`, { expected, found });
  }
}

/** A body whose size nobody declared is larger than the limit. */
export class BodyTooLarge extends DownloadError {
  readonly retried = false;

  constructor(url: string, limit: number) {
    super(url, `the body is larger than the limit of ${limit} bytes`, {
      expected: `at most ${limit}`,
      found: `more than ${limit}`,
    });
  }
}

/** Which time ran out: the remote's four timeouts, and `rate` for a body that trickles while there is no total timeout. */
export type TimeoutKind = 'total' | 'connect' | 'sock_connect' | 'sock_read' | 'rate';

const timeoutReasons: Readonly<Record<TimeoutKind, string>> = {
  total: 'the download took longer than',
  connect: 'no connection was made within',
  sock_connect: 'the socket was not connected within',
  sock_read: 'nothing was received for',
  rate: 'the body trickled for',
};

/** A time ran out. */
export class DownloadTimeout extends DownloadError {
  readonly retried = true;
  override readonly transient = true;

  constructor(
    url: string,
    readonly kind: TimeoutKind,
    milliseconds: number,
  ) {
    const limit = `${milliseconds / 1000} s`;
    const field = kind === 'rate' ? '' : ` (${kind}_timeout)`;
    super(url, `${timeoutReasons[kind]} ${limit}${field}`, { timeout: kind, expected: limit });
  }
}

/** There was no connection, or it broke. */
export class ConnectionFailed extends DownloadError {
  readonly retried: boolean;
  override readonly transient: boolean;

  /** @param mayPass - whether it may be well the next time; a name that does not exist will hardly be */
  constructor(url: string, reason: string, mayPass: boolean, cause?: unknown) {
    super(url, reason, { code: (cause as NodeJS.ErrnoException | undefined)?.code }, { cause });
    this.retried = true;
    this.transient = mayPass;
  }
}

/** No TLS connection could be agreed on: a certificate that is not trusted, or none that the server wants. */
export class TlsFailed extends DownloadError {
  readonly retried = true;

  constructor(url: string, reason: string, cause?: unknown) {
    super(
      url,
      `the TLS connection failed (${reason}); look at the remote's ca_cert, client_cert, client_key and tls_validation`,
      { code: (cause as NodeJS.ErrnoException | undefined)?.code },
      { cause },
    );
  }
}

/** One redirect after another, or back to where it was before. */
export class TooManyRedirects extends DownloadError {
  readonly retried = false;

  constructor(url: string, chain: readonly string[], loop: boolean) {
    const what = loop ? 'a redirect loop' : `more than ${chain.length - 2} redirects`;
    super(url, `${what}: ${chain.join(' → ')}`, { redirects: chain });
  }
}

/** A url that is never fetched: see {@link parseUrl} and `PENSTOCK_ALLOWED_FILE_PATHS`. */
export class RefusedUrl extends DownloadError {
  readonly retried = false;

  constructor(url: string, reason: string, expected: string) {
    super(url, `the url is refused, since ${reason}; expected ${expected}`, { expected, found: displayUrl(url) });
  }
}

/** A `file://` url below an allowed folder that cannot be read. */
export class UnreadableFile extends DownloadError {
  readonly retried = false;

  constructor(url: string, reason: string, cause?: unknown) {
    super(url, `the file cannot be read (${reason})`, {}, { cause });
  }
}

/** Why one url of a file was given up. */
export interface UrlFailure {
  readonly url: string;
  /** Requests that were made, or begun. */
  readonly attempts: number;
  readonly error: DownloadError;
}

/** A file could be had from none of its urls. `details.failures` says for each why. */
export class DownloadFailed extends PenstockError {
  override readonly transient: boolean;

  constructor(readonly failures: readonly [UrlFailure, ...UrlFailure[]]) {
    const [first, ...more] = failures;
    const lines = failures.map(
      ({ error, attempts }) => `${error.message} (${attempts} ${attempts === 1 ? 'attempt' : 'attempts'})`,
    );
    super(
      more.length === 0
        ? `Could not download ${lines.join('')}`
        : `Could not download from any of ${failures.length} urls:\n  ${lines.join('\n  ')}`,
      {
        ...first.error.details,
        attempts: first.attempts,
        reason: first.error.reason,
        failures: failures.map(({ error, attempts }) => ({
          ...error.details,
          type: error.name,
          reason: error.reason,
          attempts,
        })),
      },
      { cause: first.error },
    );
    this.transient = failures.some(({ error }) => error.transient);
  }
}

/** A server answers with the whole file, and never with a part of it. The file can be downloaded. */
export class PartsNotServed extends PenstockError {
  constructor(url: string) {
    super(`${displayUrl(url)}: the server gives no parts of it; download the whole file.`, { url: displayUrl(url) });
  }
}

/** A remote whose settings cannot be used for a connection: a certificate that cannot be read, a header that cannot be sent. */
export class UnusableRemote extends PenstockError {}
