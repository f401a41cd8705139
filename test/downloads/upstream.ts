import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** A request as the upstream saw it. */
export interface SeenRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly at: number;
  /** How many there were for this path, with this one. */
  readonly nth: number;
}

export type Answer = (response: ServerResponse, request: SeenRequest) => void | Promise<void>;

/** A real HTTP server that answers as it is told, path by path. */
export class Upstream {
  readonly seen: SeenRequest[] = [];
  /** Requests that are being answered now, and the most there were. */
  open = 0;
  mostOpen = 0;
  readonly #answers = new Map<string, Answer>();

  private constructor(
    readonly url: string,
    private readonly server: ReturnType<typeof createServer>,
  ) {}

  static async start(tls?: ServerOptions): Promise<Upstream> {
    const started: { upstream?: Upstream } = {};
    const listener: RequestListener = (request, response) => void started.upstream?.answer(request, response);
    const server = tls ? createTlsServer(tls, listener) : createServer(listener);
    server.on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    return (started.upstream = new Upstream(`${tls ? 'https' : 'http'}://127.0.0.1:${port}`, server));
  }

  /** Says how a path is answered, and gives its url. */
  on(path: string, answer: Answer): string {
    this.#answers.set(path, answer);
    return this.url + path;
  }

  /** Serves bytes under a path, and gives its url. */
  serve(path: string, bytes: Buffer | string, headers: Record<string, string> = {}): string {
    return this.on(path, (response) => {
      response.writeHead(200, { 'content-length': Buffer.byteLength(bytes), ...headers }).end(bytes);
    });
  }

  redirect(path: string, location: string, status = 302): string {
    return this.on(path, (response) => {
      response.writeHead(status, { location }).end('moved');
    });
  }

  /** The requests for a path. */
  requests(path: string): SeenRequest[] {
    return this.seen.filter((request) => request.path === path);
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    const seen = { path, headers: request.headers, at: performance.now(), nth: this.requests(path).length + 1 };
    this.seen.push(seen);
    this.open += 1;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    response.on('close', () => (this.open -= 1));
    const answer = this.#answers.get(path);
    if (answer) await answer(response, seen);
    else response.writeHead(404).end('not here');
  }

  async stop(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }
}

export const sha256Of = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

/** Waits for something that will be so soon. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await delay(5);
}
