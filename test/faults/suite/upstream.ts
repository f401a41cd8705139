import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What upstream has: bytes by path. */
export type Files = ReadonlyMap<string, Buffer>;

/** One request and what a healthy upstream would answer. */
export interface Exchange {
  readonly path: string;
  /** How many there were for this path, with this one. */
  readonly nth: number;
  readonly bytes: Buffer;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** How upstream misbehaves once. */
export interface Fault {
  readonly name: string;
  /** Whether a client has to ask again. */
  readonly repeats: boolean;
  answer(exchange: Exchange): void | Promise<void>;
}

/** PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export const MANIFEST = 'PULP_MANIFEST';
/** A larger body is sent in pieces, so that whatever happens falls into the middle of one. */
const PIECE = 64 * 1024;

/** A file repository over HTTP, or HTTPS, that misbehaves on command and remembers what it was asked for. */
export class Upstream {
  /** Milliseconds before each file is answered. */
  delay = 0;
  /** Milliseconds over which the manifest is sent. */
  manifestTime = 0;
  /** Says how a request for a file is answered; `undefined`: as it should be. */
  misbehave: (path: string, nth: number) => Fault | undefined = () => undefined;
  /** Files that were sent to their end. */
  served = 0;
  /** How often the manifest was sent, to its end or not. */
  manifestReads = 0;
  /** How often it has misbehaved in each way. */
  readonly faults = new Map<string, number>();
  private files = new Map<string, Buffer>();
  private manifest = Buffer.alloc(0);
  /** By the file's bytes: where upstream has changed a file, the path is asked for again with good reason. */
  private readonly requests = new Map<Buffer, { readonly path: string; count: number; refused: number }>();

  private constructor(
    private readonly server: Server | TlsServer,
    private readonly scheme: string,
  ) {
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      // A client that was killed leaves writes behind that go nowhere.
      response.on('error', () => undefined);
      void this.answer(request, response).catch(() => response.destroy());
    });
    server.on('tlsClientError', () => undefined);
    server.keepAliveTimeout = 60_000;
  }

  static async start(tls?: KeyPair): Promise<Upstream> {
    const upstream = new Upstream(tls ? createTlsServer(tls) : createServer(), tls ? 'https' : 'http');
    upstream.server.listen(0, '127.0.0.1');
    await once(upstream.server, 'listening');
    return upstream;
  }

  get url(): string {
    return `${this.scheme}://127.0.0.1:${(this.server.address() as AddressInfo).port}/${MANIFEST}`;
  }

  /** What it has now. */
  get state(): Files {
    return new Map(this.files);
  }

  /** Replaces all that it has, and its manifest. */
  publish(files: Files): void {
    this.files = new Map(files);
    const lines = [...files].map(([path, bytes]) => `${path},${sha256(bytes)},${bytes.length}\n`);
    this.manifest = Buffer.from(lines.join(''));
  }

  /** Shows another certificate from now on; connections under the old one break. */
  showCertificate(pair: KeyPair): void {
    (this.server as TlsServer).setSecureContext(pair);
    this.server.closeAllConnections();
  }

  /** Requests of files. */
  get downloads(): number {
    return [...this.requests.values()].reduce((sum, { count }) => sum + count, 0);
  }

  /** Requests of files that no misbehaviour explains: all after the first of a file and those that it made necessary. */
  get repeated(): number {
    let repeated = 0;
    for (const { count, refused } of this.requests.values()) repeated += Math.max(0, count - 1 - refused);
    return repeated;
  }

  /** Paths of files that were asked for. */
  get asked(): string[] {
    return [...this.requests.values()].map(({ path }) => path).sort();
  }

  /** Forgets what it was asked for. */
  forget(): void {
    this.requests.clear();
    this.faults.clear();
    this.manifestReads = 0;
    this.served = 0;
  }

  async stop(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://upstream').pathname.slice(1));
    if (path === MANIFEST) return this.answerManifest(request, response);
    const bytes = this.files.get(path);
    if (!bytes) {
      response.writeHead(404).end();
      return;
    }
    const asked = this.requests.get(bytes) ?? { path, count: 0, refused: 0 };
    this.requests.set(bytes, asked);
    const nth = (asked.count += 1);
    if (this.delay > 0) await sleep(this.delay);
    const fault = this.misbehave(path, nth);
    if (fault) {
      this.faults.set(fault.name, (this.faults.get(fault.name) ?? 0) + 1);
      if (fault.repeats) asked.refused += 1;
      return fault.answer({ path, nth, bytes, request, response });
    }
    await answerWell({ path, nth, bytes, request, response });
    this.served += 1;
  }

  private async answerManifest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { manifest } = this;
    if (request.headers['if-none-match'] === etagOf(manifest)) {
      response.writeHead(304, { etag: etagOf(manifest) }).end();
      return;
    }
    this.manifestReads += 1;
    response.writeHead(200, { 'content-length': manifest.length, etag: etagOf(manifest) });
    const pieces = Math.max(1, Math.round(this.manifestTime / 50));
    await sendInPieces(response, manifest, Math.ceil(manifest.length / pieces), this.manifestTime > 0 ? 50 : 0);
  }
}

/** As a good server: with a validator, and the rest of a body where that is what is asked for (RFC 9110, 14). */
export async function answerWell({ bytes, request, response }: Exchange): Promise<void> {
  const etag = etagOf(bytes);
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const isRest = start > 0 && start < bytes.length && request.headers['if-range'] === etag;
  const body = isRest ? bytes.subarray(start) : bytes;
  response.writeHead(isRest ? 206 : 200, {
    'content-length': body.length,
    etag,
    ...(isRest ? { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {}),
  });
  await sendInPieces(response, body, PIECE, 10);
}

/** Resolves when all is sent. Rejects when the client is gone. */
export async function sendInPieces(response: ServerResponse, body: Buffer, size: number, pause: number): Promise<void> {
  const gone = once(response, 'close').then(() => {
    if (!response.writableFinished) throw new Error('the client is gone');
  });
  gone.catch(() => undefined);
  const send = async () => {
    for (let from = 0; from < body.length; from += size) {
      response.write(body.subarray(from, from + size));
      if (from + size < body.length) await sleep(pause);
    }
    response.end();
    if (!response.writableFinished) await once(response, 'finish');
  };
  await Promise.race([gone, send()]);
}

export function etagOf(bytes: Buffer): string {
  return `"${sha256(bytes)}"`;
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
