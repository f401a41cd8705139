import { onAbort } from './abort';
import { asConnectionError, type Timeouts } from './connection-errors';
import { makeSender, timeoutsOf, type Sender } from './dispatchers';
import { displayTarget, displayUrl } from './display-url';
import { DownloadTimeout, RefusedUrl, TooManyRedirects } from './download-error';
import { LocalFiles } from './local-files';
import type { RemoteConnection } from './remote';
import { makeRequestHeaders, type RequestHeaders } from './request-headers';
import { ResponseBody } from './response-body';
import { parseRedirect, parseUrl } from './urls';

const MAX_REDIRECTS = 10;
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** How to ask for one url. */
export interface OpenOptions {
  readonly method?: 'GET' | 'HEAD';
  /** Conditions, say; in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Byte offsets, both inclusive. The server may ignore it and answer 200. */
  readonly range?: { readonly start: number; readonly end?: number } | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An answer of any status that is no redirect. Its body must be read to the end, or discarded. */
export interface RemoteResponse {
  /** The url that answered, after redirects. */
  readonly url: string;
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<NodeJS.Dict<string | string[]>>;
  /** Whether the remote has credentials that were kept from this url, as it is of another origin. */
  readonly credentialsWithheld: boolean;
  /**
   * The bytes as they come. To be read once; leaving the loop early closes the connection. Reading throws a `DownloadError`, or
   * the signal's reason.
   */
  readonly body: AsyncIterable<Buffer>;
  /** Gives the body up; what little is left of it is read, so that the connection can be used again. */
  discard(): Promise<void>;
}

/** One request of a chain of redirects. */
interface Hop {
  readonly url: URL;
  /** The url as errors show it. */
  readonly shown: string;
  /** Whether credentials go along. Once another origin was visited they never do again, also not on the way back. */
  readonly trusted: boolean;
}

/**
 * The HTTP client of one remote: its TLS settings, credentials, headers, proxy and timeouts, and a bounded set of connections
 * that are kept alive. Credentials (basic auth, the remote's own headers, its client certificate) go to the origin of the remote's
 * url only, however another origin was come to.
 */
export class RemoteClient {
  readonly #headers: RequestHeaders;
  readonly #own: Sender;
  #foreign: Sender | undefined;
  readonly #origin: string;
  readonly #isLocal: boolean;
  readonly #files: LocalFiles;
  readonly #timeouts: Timeouts;

  /**
   * @throws {@link UnusableRemote} where certificates, headers or the proxy cannot be used
   * @throws {@link RefusedUrl} where the remote's url itself cannot be fetched
   */
  constructor(
    readonly connection: RemoteConnection,
    options: { readonly allowedFilePaths: readonly string[] },
    /** To each origin; `null`: as many as there are requests, where some go on without a slot. */
    private readonly connections: number | null = Math.max(1, connection.downloadConcurrency),
  ) {
    const { origin, protocol } = parseUrl(connection.url);
    this.#origin = origin;
    this.#isLocal = protocol === 'file:';
    this.#headers = makeRequestHeaders(connection);
    this.#own = makeSender(connection, true, connections);
    this.#files = new LocalFiles(options.allowedFilePaths);
    this.#timeouts = timeoutsOf(connection);
  }

  /**
   * Asks for a url and follows redirects. Statuses are the caller's matter; everything else that goes wrong is thrown.
   *
   * @throws a `DownloadError`, or the signal's reason
   */
  async open(url: string, options: OpenOptions = {}): Promise<RemoteResponse> {
    options.signal?.throwIfAborted();
    const first = parseUrl(url);
    if (first.protocol === 'file:') return this.#openFile(first);

    const { totalTimeout } = this.connection;
    const deadline = totalTimeout === null ? undefined : Date.now() + totalTimeout * 1000;
    const chain = new RedirectChain(first);
    let hop: Hop = { url: first, shown: displayUrl(first), trusted: first.origin === this.#origin };
    for (;;) {
      const response = await this.#request(hop, options, deadline);
      const next = this.#redirect(hop, response);
      if (!next) return response;
      await response.discard();
      chain.add(next);
      hop = next;
    }
  }

  /** Metadata of somebody else's server names no files of this machine. */
  async #openFile(url: URL): Promise<RemoteResponse> {
    if (this.#isLocal) return this.#files.open(url);
    throw new RefusedUrl(
      url.href,
      "it names a local file, and the remote's own url does not",
      'http or https, as the remote is reached by HTTP',
    );
  }

  /** Ends all connections, and with them every download under way. */
  async close(): Promise<void> {
    await Promise.all([this.#own.destroy(), this.#foreign?.destroy()]);
  }

  #redirect({ url, shown, trusted }: Hop, { status, headers }: RemoteResponse): Hop | undefined {
    const location = headers.location;
    if (!redirects.has(status) || typeof location !== 'string') return undefined;
    const target = parseRedirect(url, location, shown);
    return { url: target, shown: displayTarget(target), trusted: trusted && target.origin === this.#origin };
  }

  async #request(hop: Hop, options: OpenOptions, deadline: number | undefined): Promise<RemoteResponse> {
    const { signal, range } = options;
    const url = hop.shown;
    const body = new ResponseBody(
      (error) => asConnectionError(error, url, this.#timeouts),
      () => {
        clearTimeout(timer);
        takeBack();
      },
    );
    const timer =
      deadline === undefined
        ? undefined
        : setTimeout(() => {
            body.abort(new DownloadTimeout(url, 'total', (this.connection.totalTimeout ?? 0) * 1000));
          }, deadline - Date.now());
    const takeBack = onAbort(signal, () => {
      body.abort(signal?.reason as Error);
    });
    const headers = {
      ...(hop.trusted ? this.#headers.own : this.#headers.foreign),
      ...options.headers,
      ...(range && { range: `bytes=${range.start}-${range.end ?? ''}` }),
    };
    this.#senderFor(hop).dispatch(hop.url, { method: options.method ?? 'GET', headers }, body);
    const head = await body.head;
    return {
      url: hop.url.href,
      status: head.status,
      headers: head.headers,
      credentialsWithheld: !hop.trusted && this.#hasCredentials,
      body,
      discard: () => body.drain(),
    };
  }

  /** Other origins get connections of their own only where ours show a certificate. */
  #senderFor({ trusted }: Hop): Sender {
    if (trusted || this.connection.clientCert === null) return this.#own;
    this.#foreign ??= makeSender(this.connection, false, this.connections);
    return this.#foreign;
  }

  get #hasCredentials(): boolean {
    const { username, clientCert, headers } = this.connection;
    return username !== null || clientCert !== null || headers.length > 0;
  }
}

/** Where redirects led so far: neither in a circle nor on and on. */
class RedirectChain {
  readonly #seen: Set<string>;
  readonly #shown: string[];

  constructor(private readonly first: URL) {
    this.#seen = new Set([first.href]);
    this.#shown = [displayUrl(first)];
  }

  /** @throws {@link TooManyRedirects} */
  add({ url, shown }: Hop): void {
    const loop = this.#seen.has(url.href);
    this.#seen.add(url.href);
    this.#shown.push(shown);
    if (loop || this.#shown.length > MAX_REDIRECTS + 1) throw new TooManyRedirects(this.first.href, this.#shown, loop);
  }
}
