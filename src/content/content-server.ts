import { constants } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener, Server, ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { InvalidSetting, asError } from '../errors';
import type { Settings } from '../settings';
import { oneAtATime } from './one-at-a-time';

/** Who sends a request slowly, or none at all, does not keep a connection for long. */
const bounds: ServerOptions = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 20_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 5_000,
  noDelay: true,
};
const mostConnections = 10_000;
/** Milliseconds for which nothing moves on a connection, neither from the client nor to it. */
const standstill = 5 * 60_000;
/** Milliseconds that what is under way has to end when the server stops. */
const grace = 10_000;

/** Where a server listens, and with what certificate. */
export type ContentAddress = Pick<Settings, 'contentAddress' | 'contentTls'>;

/** The HTTP or HTTPS server of the content app. */
export class ContentServer {
  private stopping = false;

  private constructor(
    private readonly server: Server,
    /** As `http://127.0.0.1:24816`. */
    readonly url: string,
  ) {
    server.prependListener('request', (_, response) => {
      if (this.stopping) response.shouldKeepAlive = false;
    });
  }

  /** @throws {@link InvalidSetting} where the address cannot be listened on, or the certificate not be used */
  static async open({ contentAddress, contentTls }: ContentAddress, listener: RequestListener): Promise<ContentServer> {
    const inTurn = oneAtATime(listener);
    const server = contentTls ? await tlsServer(contentTls, inTurn) : createServer(bounds, inTurn);
    server.maxConnections = mostConnections;
    server.timeout = standstill;
    const { host, port } = contentAddress;
    try {
      server.listen({ host, port, backlog: 1024 });
      await once(server, 'listening');
    } catch (error) {
      throw new InvalidSetting(
        `PENSTOCK_CONTENT_ADDRESS cannot be listened on (${asError(error).message}). Stop what holds it, or set another address.`,
        { found: `${host}:${port}` },
        { cause: error },
      );
    }
    const { address, family, port: actual } = server.address() as AddressInfo;
    const shown = family === 'IPv6' ? `[${address}]` : address;
    return new ContentServer(server, `${contentTls ? 'https' : 'http'}://${shown}:${actual}`);
  }

  /** Takes no more connections; what is under way may end, for a while. */
  async close(): Promise<void> {
    this.stopping = true;
    const closed = once(this.server, 'close');
    this.server.close();
    const patience = new AbortController();
    const late = sleep(grace, undefined, { signal: patience.signal }).catch(() => undefined);
    // A connection whose answer began before may wait for another request.
    const sweep = setInterval(() => {
      this.server.closeIdleConnections();
    }, 50);
    await Promise.race([closed, late]);
    patience.abort();
    clearInterval(sweep);
    this.server.closeAllConnections();
    await closed;
  }
}

/** Any client's certificate is taken, and none is asked for: who has to show which, the distribution says. */
async function tlsServer(
  { cert, key }: NonNullable<Settings['contentTls']>,
  listener: RequestListener,
): Promise<Server> {
  try {
    const pem = { cert: await readFile(cert), key: await readFile(key) };
    // A session that is resumed knows no more of the client's certificates than the first: no intermediate that it has shown.
    const secureOptions = constants.SSL_OP_NO_TICKET;
    const options = { ...bounds, ...pem, requestCert: true, rejectUnauthorized: false, secureOptions };
    return createTlsServer(options, listener);
  } catch (error) {
    throw new InvalidSetting(
      `PENSTOCK_CONTENT_TLS_CERT and PENSTOCK_CONTENT_TLS_KEY cannot be used (${asError(error).message}): they name files with a certificate and its key, in PEM.`,
      { found: `${cert}, ${key}` },
      { cause: error },
    );
  }
}
