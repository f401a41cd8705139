import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { InvalidSetting, asError } from '../errors';

/** What a path answers. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Whoever asks is slow, silent or many: none of it costs the worker much. */
const bounds = {
  maxHeaderSize: 8 * 1024,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
} as const;
const mostConnections = 64;
/** Milliseconds for which nothing moves on a connection. */
const silence = 15_000;

/** Answers GET and HEAD for a few paths. */
export class HttpListener {
  private constructor(
    private readonly server: Server,
    /** Where it listens, as `http://127.0.0.1:9464`. */
    readonly url: string,
  ) {}

  /** @throws {@link InvalidSetting} where the address cannot be listened on */
  static async open(
    { host, port }: { readonly host: string; readonly port: number },
    paths: Readonly<Record<string, () => Promise<Answer>>>,
  ): Promise<HttpListener> {
    const answers = new Map(Object.entries(paths).map(([path, answer]) => [path, shared(answer)]));
    const server = createServer(bounds, (request, response) => void respond(answers, request, response));
    server.maxConnections = mostConnections;
    server.timeout = silence;
    try {
      server.listen({ host, port });
      await once(server, 'listening');
    } catch (error) {
      throw new InvalidSetting(
        `PENSTOCK_HTTP_ADDRESS cannot be listened on (${asError(error).message}). Stop what holds it, or set another address.`,
        { found: `${host}:${port}` },
        { cause: error },
      );
    }
    const { address, family, port: actual } = server.address() as AddressInfo;
    return new HttpListener(server, `http://${family === 'IPv6' ? `[${address}]` : address}:${actual}`);
  }

  async close(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }
}

/** Those who ask at the same time get the same answer. */
function shared(answer: () => Promise<Answer>): () => Promise<Answer> {
  let current: Promise<Answer> | undefined;
  return () =>
    (current ??= answer().finally(() => {
      current = undefined;
    }));
}

async function respond(
  answers: ReadonlyMap<string, () => Promise<Answer>>,
  { method, url = '' }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  send(response, await answerTo(answers, method, url.replace(/\?.*/s, '')));
}

async function answerTo(
  answers: ReadonlyMap<string, () => Promise<Answer>>,
  method: string | undefined,
  path: string,
): Promise<Answer> {
  const answer = answers.get(path);
  if (!answer) return text(404, `There are ${[...answers.keys()].join(', ')}.\n`);
  if (method !== 'GET' && method !== 'HEAD') return text(405, 'GET and HEAD only.\n');
  return answer().catch((error: unknown) => text(500, `${asError(error).name}\n`));
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  const headers = { 'content-type': type, 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store' };
  response.writeHead(status, headers).end(body);
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body };
}
