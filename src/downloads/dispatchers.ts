import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, rootCertificates } from 'node:tls';

import { Agent, Pool, ProxyAgent, buildConnector, type Dispatcher } from 'undici';

import { ConnectTimeout, type Timeouts } from './connection-errors';
import { UnusableRemote } from './download-error';
import { displayUrl } from './display-url';
import type { RemoteConnection } from './remote';
import { basic } from './request-headers';

/** Seconds that hold where a remote says nothing: no download hangs for ever. */
export const standardTimeouts = { connect: 60, sockConnect: 30, sockRead: 120 } as const;

/** A connection idle for longer is closed: most servers do so after 5 to 75 s, and a request on a dead one is a retry. */
const KEEP_ALIVE_MS = 4_000;
const MAX_HEADER_BYTES = 64 * 1024;

type TlsOptions = buildConnector.BuildOptions;

/** Sends requests, each either to its origin or through the proxy. */
export interface Sender {
  dispatch(url: URL, options: RequestOptions, handler: Dispatcher.DispatchHandler): void;
  destroy(): Promise<void>;
}

interface RequestOptions {
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Makes what sends a remote's requests.
 *
 * @param own - whether for the remote's own origin: to others its client certificate is not shown
 * @param connections - at most, to each origin; `null`: as many as there are requests
 * @throws {@link UnusableRemote} where certificates or the proxy's url cannot be used
 */
export function makeSender(remote: RemoteConnection, own: boolean, connections: number | null): Sender {
  const timeouts = timeoutsOf(remote);
  const options = {
    connections,
    pipelining: 1,
    headersTimeout: timeouts.sockRead,
    bodyTimeout: timeouts.sockRead,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  };
  const tls = tlsOptions(remote, own);
  if (remote.proxyUrl === null)
    return new DirectSender(new Agent({ ...options, connect: makeConnector(timeouts, tls) }));

  const proxy = parseProxy(remote, remote.proxyUrl);
  const token = remote.proxyUsername === null ? undefined : basic(remote.proxyUsername, remote.proxyPassword);
  // The proxy may be signed by a public authority though the upstream is not.
  const proxyTls: TlsOptions = {
    rejectUnauthorized: remote.tlsValidation,
    ...(remote.caCert === null ? {} : { ca: [...rootCertificates, remote.caCert] }),
  };
  return new ProxySender(
    proxy,
    token,
    new Agent({ ...options, connect: makeConnector(timeouts, proxyTls) }),
    new ProxyAgent({
      ...options,
      uri: proxy.href,
      ...(token === undefined ? {} : { token }),
      proxyTls: { ...proxyTls, timeout: Math.min(timeouts.connect, timeouts.sockConnect) },
      requestTls: { ...tls, timeout: timeouts.connect },
      clientFactory: (origin, given) => new Pool(origin, { ...given, headersTimeout: timeouts.connect }),
    }),
  );
}

class DirectSender implements Sender {
  constructor(private readonly agent: Agent) {}

  dispatch(url: URL, options: RequestOptions, handler: Dispatcher.DispatchHandler): void {
    this.agent.dispatch({ ...options, origin: url.origin, path: url.pathname + url.search }, handler);
  }

  destroy(): Promise<void> {
    return this.agent.destroy();
  }
}

/** As browsers and curl do: `https` through a tunnel (CONNECT), `http` with the whole url in the request line, which more proxies let pass. */
class ProxySender implements Sender {
  constructor(
    private readonly proxy: URL,
    private readonly token: string | undefined,
    private readonly forward: Agent,
    private readonly tunnel: ProxyAgent,
  ) {}

  dispatch(url: URL, options: RequestOptions, handler: Dispatcher.DispatchHandler): void {
    const headers = { host: url.host, ...options.headers };
    if (url.protocol === 'https:') {
      this.tunnel.dispatch({ ...options, headers, origin: url.origin, path: url.pathname + url.search }, handler);
      return;
    }
    const authorized = this.token === undefined ? headers : { ...headers, 'proxy-authorization': this.token };
    const path = url.origin + url.pathname + url.search;
    this.forward.dispatch({ ...options, headers: authorized, origin: this.proxy.origin, path }, handler);
  }

  async destroy(): Promise<void> {
    await Promise.all([this.forward.destroy(), this.tunnel.destroy()]);
  }
}

/** The timeouts that hold for a remote, in milliseconds. */
export function timeoutsOf(remote: RemoteConnection): Timeouts {
  return {
    connect: (remote.connectTimeout ?? standardTimeouts.connect) * 1000,
    sockConnect: (remote.sockConnectTimeout ?? standardTimeouts.sockConnect) * 1000,
    sockRead: (remote.sockReadTimeout ?? standardTimeouts.sockRead) * 1000,
  };
}

/** Connects with both of a remote's timeouts: until the socket is connected, and until TLS is agreed on as well. */
function makeConnector(timeouts: Timeouts, tls: TlsOptions): buildConnector.connector {
  const connect = buildConnector({ ...tls, timeout: 0 });
  return (options, callback) => {
    const clear = () => {
      clearTimeout(connecting);
      clearTimeout(sockConnecting);
    };
    // The typings say void, but it is the socket that is being connected.
    const start = connect as unknown as (...given: Parameters<buildConnector.connector>) => Socket;
    const socket = start(options, (...result) => {
      clear();
      callback(...result);
    });
    const connecting = setTimeout(() => socket.destroy(new ConnectTimeout('connect')), timeouts.connect);
    const sockConnecting = setTimeout(() => socket.destroy(new ConnectTimeout('sock_connect')), timeouts.sockConnect);
    socket.once('connect', () => {
      clearTimeout(sockConnecting);
    });
    socket.once('close', clear);
  };
}

function tlsOptions(remote: RemoteConnection, own: boolean): TlsOptions {
  const options = {
    rejectUnauthorized: remote.tlsValidation,
    ...(remote.caCert === null ? {} : { ca: remote.caCert }),
    ...(own && remote.clientCert !== null ? { cert: remote.clientCert } : {}),
    ...(own && remote.clientKey !== null ? { key: remote.clientKey } : {}),
  };
  try {
    createSecureContext(options);
    // Node takes any text for a `ca`, and trusts nobody then.
    if (remote.caCert !== null) new X509Certificate(remote.caCert);
  } catch (error) {
    throw new UnusableRemote(
      `The certificates of the remote ${remote.name} cannot be used (${(error as Error).message}): ` +
        'ca_cert, client_cert and client_key must be PEM, and the key must belong to the certificate.',
      { remote: remote.name, expected: 'PEM' },
      { cause: error },
    );
  }
  return options;
}

function parseProxy(remote: RemoteConnection, given: string): URL {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  const usable = url && (url.protocol === 'http:' || url.protocol === 'https:') && !url.username && !url.password;
  if (usable) return url;
  const found = displayUrl(given);
  throw new UnusableRemote(
    `The proxy_url of the remote ${remote.name} cannot be used: expected http://host:port or https://host:port, ` +
      `its credentials in proxy_username and proxy_password; found ${found}.`,
    { remote: remote.name, expected: 'http://host:port', found },
  );
}
