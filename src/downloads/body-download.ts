import type { FileSink } from '../storage/storage';
import {
  BodyTooLarge,
  DownloadTimeout,
  PartsNotServed,
  SizeMismatch,
  UnexpectedStatus,
  WrongPart,
} from './download-error';
import { displayUrl } from './display-url';
import { PartialBody, type Declared, type WholeBody } from './partial-body';
import type { RemoteClient, RemoteResponse } from './remote-client';
import { holdsPart, rangeStart, strongValidator, textOf, type BodyPart } from './resuming';
import { parseRetryAfter, standardLimits, type DownloadLimits, type DownloadObserver, type Source } from './retries';

/** Broken bodies that a process keeps while they wait for the next attempt: each holds an open file, or some memory. */
const MAX_KEPT = 64;
let kept = 0;

/** How a body is fetched, and where it goes. */
export interface BodyContext {
  readonly client: RemoteClient;
  /** Without one, bytes are only measured and compared. */
  readonly storage?: FileSink | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly limits?: Partial<DownloadLimits> | undefined;
  /** Told of bytes as they come, also of those that come a second time. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
  readonly observer?: DownloadObserver | undefined;
}

/** A body from one url, with the headers of the answer that began it. */
export interface FetchedBody extends WholeBody {
  /** The url that was asked for, before redirects. */
  readonly url: string;
  readonly headers: RemoteResponse['headers'];
}

const done = Promise.resolve();

/** The server says that what it has is what the conditional request named. */
export const notModified = Symbol('not modified');

/**
 * One url's download over all its attempts. A body that breaks is kept, where the server gave a validator to recognise it by, and
 * the next attempt asks for the rest of it. A body that turns out to be another than declared is thrown away.
 */
export class BodyDownload implements Source<FetchedBody | typeof notModified> {
  #partial: PartialBody | undefined;
  #validator: string | undefined;
  #headers: RemoteResponse['headers'] = {};
  #parked = false;

  /**
   * @param conditions - headers under which the server may answer 304
   * @param part - what is fetched of the file; absent: all of it. `declared` is of the part
   */
  constructor(
    private readonly url: string,
    private readonly declared: Declared,
    private readonly keyOf: (sha256: string) => string,
    private readonly context: BodyContext,
    private readonly conditions?: Readonly<Record<string, string>>,
    private readonly part?: BodyPart,
  ) {}

  get resumable(): boolean {
    return this.#validator !== undefined && this.#partial !== undefined && this.#partial.received > 0;
  }

  async attempt(): Promise<FetchedBody | typeof notModified> {
    this.#unpark();
    const response = (this.#partial && (await this.#openRest())) ?? (await this.#openWhole());
    if (response === notModified) return notModified;
    const partial = (this.#partial ??= new PartialBody(this.declared, this.context.storage));
    try {
      await this.#read(response, partial);
    } catch (error) {
      // Longer than it may be: what is there already is of no use.
      if (error instanceof SizeMismatch || error instanceof BodyTooLarge) await this.#discard();
      throw error;
    }
    try {
      return { ...(await partial.finish(this.#shown, this.keyOf)), url: this.url, headers: this.#headers };
    } finally {
      await this.#discard();
    }
  }

  async park(): Promise<void> {
    if (!this.#partial) return;
    if (!this.resumable || kept >= MAX_KEPT) {
      await this.#discard();
      return;
    }
    this.#parked = true;
    kept += 1;
  }

  end(): Promise<void> {
    this.#unpark();
    return this.#discard();
  }

  /** Asks for the rest of a broken body; `undefined` where it has to be fetched from its start. */
  async #openRest(): Promise<RemoteResponse | undefined> {
    const partial = this.#partial;
    if (!partial || this.#validator === undefined) return undefined;
    const { client, signal } = this.context;
    const start = (this.part?.start ?? 0) + partial.received;
    const response = await client.open(this.url, {
      headers: { 'if-range': this.#validator },
      range: this.part ? { start, end: this.part.end } : { start },
      signal,
    });
    if (response.status === 206 && rangeStart(response) === start && this.#sameAsBefore(response)) return response;
    if (response.status >= 400 && response.status !== 416 && response.status !== 412)
      throw await this.#refused(response);
    await this.#discard();
    if (response.status === 200 && !this.part) return this.#begin(response);
    await response.discard();
    return undefined;
  }

  async #openWhole(): Promise<RemoteResponse | typeof notModified> {
    const { client, signal } = this.context;
    const response = await client.open(this.url, { headers: this.conditions, range: this.part, signal });
    if (this.part && (response.status === 200 || response.status === 206)) return this.#beginPart(response, this.part);
    if (response.status === 200) return this.#begin(response);
    if (response.status !== 304 || !this.conditions) throw await this.#refused(response);
    await response.discard();
    return notModified;
  }

  async #beginPart(response: RemoteResponse, part: BodyPart): Promise<RemoteResponse> {
    if (response.status === 206 && holdsPart(response, part)) return this.#begin(response);
    await response.discard();
    if (response.status === 200) throw new PartsNotServed(this.url);
    const { headers } = response;
    const found = [textOf(headers['content-range']) ?? 'no Content-Range', textOf(headers['content-encoding'])];
    throw new WrongPart(this.url, `bytes ${part.start}-${part.end}/${part.size}`, found.filter(Boolean).join(', '));
  }

  #begin(response: RemoteResponse): RemoteResponse {
    this.#headers = response.headers;
    this.#validator = strongValidator(response.headers);
    return response;
  }

  /** A server that ignores If-Range may go on with another file. */
  #sameAsBefore(response: RemoteResponse): boolean {
    const validator = strongValidator({ ...response.headers, date: this.#headers.date });
    return validator === undefined || validator === this.#validator;
  }

  async #read(response: RemoteResponse, partial: PartialBody): Promise<void> {
    const { client, limits, onBytes, observer } = this.context;
    const { size } = this.declared;
    const limit = size ?? limits?.maxSize ?? standardLimits.maxSize;
    const announced = Number(response.headers['content-length'] ?? NaN);
    if (!Number.isNaN(announced)) await this.#checkSize(partial.received + announced, limit, response);
    const trickle =
      client.connection.totalTimeout === null ? new TrickleGuard(this.#shown, limits?.minimumRate) : undefined;
    let received = 0;
    try {
      for await (const chunk of response.body) {
        received += chunk.length;
        onBytes?.(chunk.length);
        if (partial.received + chunk.length > limit) throw this.#tooLong(limit);
        trickle?.add(chunk.length);
        await partial.add(chunk);
      }
    } finally {
      observer?.received(this.url, received);
    }
  }

  /** Nothing is read of what the server itself says is of the wrong size. */
  async #checkSize(announced: number, limit: number, response: RemoteResponse): Promise<void> {
    const { size } = this.declared;
    if (size === undefined ? announced <= limit : announced === size) return;
    await response.discard();
    throw size === undefined ? this.#tooLong(limit) : new SizeMismatch(this.#shown, size, announced);
  }

  #tooLong(limit: number): Error {
    const { size } = this.declared;
    return size === undefined ? new BodyTooLarge(this.#shown, limit) : new SizeMismatch(this.#shown, size, 'more');
  }

  async #refused(response: RemoteResponse): Promise<UnexpectedStatus> {
    await response.discard();
    const { status, headers } = response;
    const retryAfter = headers['retry-after'];
    const withheld = response.credentialsWithheld && (status === 401 || status === 403);
    return new UnexpectedStatus(this.url, status, {
      retryAfter: parseRetryAfter(typeof retryAfter === 'string' ? retryAfter : undefined),
      ...(withheld && {
        hint: "the remote's credentials were not sent, as this is another origin than that of the remote's url",
      }),
    });
  }

  get #shown(): string {
    return displayUrl(this.url);
  }

  #unpark(): void {
    if (this.#parked) kept -= 1;
    this.#parked = false;
  }

  #discard(): Promise<void> {
    const partial = this.#partial;
    this.#partial = undefined;
    this.#validator = undefined;
    return partial?.discard() ?? done;
  }
}

/** Bounds a body that comes byte by byte, which no timeout between two reads notices. */
class TrickleGuard {
  #since = performance.now();
  #bytes = 0;

  constructor(
    private readonly url: string,
    private readonly least = standardLimits.minimumRate,
  ) {}

  /** @throws {@link DownloadTimeout} */
  add(bytes: number): void {
    this.#bytes += bytes;
    const now = performance.now();
    if (now - this.#since < this.least.milliseconds) return;
    if (this.#bytes < this.least.bytes) throw new DownloadTimeout(this.url, 'rate', this.least.milliseconds);
    this.#since = now;
    this.#bytes = 0;
  }
}
