import { sleep } from './abort';
import type { PoolMember, Slot } from './download-pool';
import { DownloadError, DownloadFailed, type UrlFailure } from './download-error';
import { displayUrl } from './display-url';

/** Why nothing happens at the moment, for those who look. */
export interface Wait {
  readonly url: string;
  readonly reason: string;
  readonly until: Date;
}

/** Who is told how urls fare, each of them with the url that was asked for. */
export interface DownloadObserver {
  /** It is there. */
  downloaded(url: string): void;
  /** Bytes of a body have come, also of one that broke. */
  received(url: string, bytes: number): void;
  /** An attempt has failed, and another one follows. */
  retried(url: string, error: DownloadError): void;
  /** No further attempt follows. */
  gaveUp(url: string, error: DownloadError): void;
}

/** How long and how large a download may become. */
export interface DownloadLimits {
  /** Bytes of a body whose size is not declared. */
  readonly maxSize: number;
  /** Milliseconds: the wait before the first retry is up to `first`, doubles with each, and is never longer than `most`. */
  readonly backoff: { readonly first: number; readonly most: number };
  /** Milliseconds that a `Retry-After` may ask for at most. */
  readonly maxRetryAfter: number;
  /** Without a total timeout, fewer bytes in so many milliseconds are a trickle, and a timeout. */
  readonly minimumRate: { readonly bytes: number; readonly milliseconds: number };
}

const GIB = 1024 ** 3;

/** What holds unless said otherwise. */
export const standardLimits: DownloadLimits = {
  maxSize: 64 * GIB,
  backoff: { first: 1_000, most: 60_000 },
  maxRetryAfter: 10 * 60_000,
  minimumRate: { bytes: 5 * 60 * 1024, milliseconds: 5 * 60_000 },
};

/** How urls are tried. */
export interface RetryContext {
  /** Where a slot for each request comes from. */
  readonly pool: Pick<PoolMember, 'acquire' | 'pauses'>;
  /** Attempts after the first one, for each url. */
  readonly maxRetries: number;
  /**
   * Attempts, of those, that begin anew, for errors that may pass: few where somebody waits. Absent: as many as there are, after
   * any error.
   */
  readonly maxRestarts?: number | undefined;
  readonly limits?: Partial<DownloadLimits> | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onWait?: ((wait: Wait) => void) | undefined;
  readonly observer?: DownloadObserver | undefined;
}

/** One url that is being tried. */
export interface Source<T> {
  attempt(): Promise<T>;
  /** Whether the next attempt would go on where the last one broke. */
  readonly resumable?: boolean;
  /** A wait follows, without a slot. */
  park(): Promise<void>;
  /** Nothing follows: what is left of it goes. */
  end(): Promise<void>;
}

/**
 * Tries urls in turn, each with its own retries: exponential backoff with full jitter
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), and no sooner than the server's `Retry-After`. The
 * slot is given back while it waits.
 *
 * @throws {@link DownloadFailed}, the signal's reason, or at once what is no `DownloadError` (a full disk)
 */
export async function tryUrls<T>(
  urls: readonly string[],
  context: RetryContext,
  open: (url: string) => Source<T>,
): Promise<T> {
  const failures: UrlFailure[] = [];
  for (const url of urls) {
    const source = open(url);
    try {
      const tried = await tryUrl(url, context, source);
      if ('value' in tried) return tried.value;
      failures.push(tried);
    } finally {
      await source.end();
    }
  }
  const [first, ...more] = failures;
  if (!first) throw new TypeError('A download needs at least one url');
  throw new DownloadFailed([first, ...more]);
}

async function tryUrl<T>(url: string, context: RetryContext, source: Source<T>): Promise<{ value: T } | UrlFailure> {
  const { pool, maxRetries, maxRestarts, signal, observer } = context;
  const origin = originOf(url);
  let restarts = 0;
  for (let attempts = 1; ; attempts += 1) {
    const slot = await acquire(url, origin, context);
    let error: DownloadError;
    try {
      const value = await source.attempt();
      pool.pauses.answered(origin);
      observer?.downloaded(url);
      return { value };
    } catch (thrown) {
      if (signal?.aborted) throw signal.reason;
      if (!(thrown instanceof DownloadError)) throw thrown;
      error = thrown;
    } finally {
      slot.release();
    }
    const asked = waitAsked(error, context);
    if (asked === undefined) pool.pauses.answered(origin);
    else if (error.details.status === 429) pool.pauses.refused(origin, Date.now() + asked);
    if (!source.resumable) restarts += 1;
    const anew = maxRestarts === undefined || (error.transient && restarts <= maxRestarts);
    if (!error.retried || attempts > maxRetries || !(anew || source.resumable)) {
      observer?.gaveUp(url, error);
      return { url, attempts, error };
    }
    observer?.retried(url, error);
    await source.park();
    await wait(url, error.reason, Math.max(backoff(attempts, context), asked ?? 0), context);
  }
}

/** A slot, once the host may be asked. */
async function acquire(url: string, origin: string, context: RetryContext): Promise<Slot> {
  const { pauses } = context.pool;
  for (;;) {
    const paused = pauses.pausedUntil(origin);
    if (paused !== undefined) {
      await wait(url, 'the server answers 429 to everything', paused - Date.now(), context);
      continue;
    }
    const slot = await context.pool.acquire(context.signal);
    if (pauses.pausedUntil(origin) === undefined) return slot;
    slot.release();
  }
}

function waitAsked(error: DownloadError, { limits }: RetryContext): number | undefined {
  return error.retryAfter && Math.min(error.retryAfter, limits?.maxRetryAfter ?? standardLimits.maxRetryAfter);
}

function backoff(attempts: number, { limits }: RetryContext): number {
  const { first, most } = limits?.backoff ?? standardLimits.backoff;
  return Math.random() * Math.min(most, first * 2 ** (attempts - 1));
}

function wait(url: string, reason: string, milliseconds: number, { signal, onWait }: RetryContext): Promise<void> {
  onWait?.({ url: displayUrl(url), reason, until: new Date(Date.now() + milliseconds) });
  return sleep(milliseconds, signal);
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : '';
}

/** Reads `Retry-After` (RFC 9110, 10.2.3): seconds, or a date. Gives milliseconds from now. */
export function parseRetryAfter(value: string | undefined, now = Date.now()): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
