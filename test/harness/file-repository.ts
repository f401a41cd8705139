import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the server does with a request instead of serving the file. */
export type Misbehaviour = (request: IncomingMessage, response: ServerResponse) => void;

/** A real file repository over HTTP, with a log of what was asked for. */
export class FileRepository {
  /** Paths in the order in which they were asked for. */
  readonly requests: string[] = [];
  /** Paths whose response was sent to its end. */
  readonly served: string[] = [];
  readonly misbehave = new Map<string, Misbehaviour>();
  /** Requests that were under way at once, at most. */
  mostOpen = 0;
  private open = 0;
  /** The one value of `Authorization` that it answers to; absent: any, and none. */
  authorization: string | undefined;
  /** All that clients have sent as `Authorization`. */
  readonly authorizations = new Set<string | undefined>();
  /** Milliseconds that every answer but the manifest waits. */
  delay = 0;
  private readonly files = new Map<string, Buffer>();
  private manifest: Buffer | undefined;
  private readonly server = createServer((request, response) => {
    this.answer(request, response);
  });

  private constructor() {
    this.server.keepAliveTimeout = 60_000;
  }

  static async start(files: Readonly<Record<string, string>> = {}): Promise<FileRepository> {
    const repository = new FileRepository();
    for (const [path, content] of Object.entries(files)) repository.put(path, content);
    await new Promise<void>((resolve) => repository.server.listen(0, '127.0.0.1', resolve));
    return repository;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `${this.origin}/PULP_MANIFEST`;
  }

  put(path: string, content: string | Buffer): void {
    this.files.set(path, Buffer.from(content));
  }

  remove(path: string): void {
    this.files.delete(path);
  }

  /** What lies there. */
  get paths(): readonly string[] {
    return [...this.files.keys()];
  }

  /** Has these files, and no others. */
  replaceAll(files: Readonly<Record<string, string>>): void {
    this.files.clear();
    for (const [path, content] of Object.entries(files)) this.put(path, content);
  }

  /** Puts this in place of the manifest that the files make. */
  putManifest(content: string | Buffer | undefined): void {
    this.manifest = content === undefined ? undefined : Buffer.from(content);
  }

  lineOf(path: string): string {
    const content = this.files.get(path) ?? Buffer.alloc(0);
    return `${path},${sha256(content)},${content.length}`;
  }

  /** Requests of files, without those of the manifest. */
  get downloads(): string[] {
    return this.requests.filter((path) => path !== 'PULP_MANIFEST');
  }

  /** Paths that were asked for more than once. */
  get repeated(): string[] {
    const once = new Set<string>();
    return this.requests.filter((path) => once.has(path) || !once.add(path));
  }

  forget(): void {
    this.requests.length = 0;
    this.served.length = 0;
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.server.close(() => {
        resolve();
      });
    });
    this.server.closeAllConnections();
    await closed;
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(new URL(request.url ?? '/', this.origin).pathname.slice(1));
    this.requests.push(path);
    this.open += 1;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    response.on('finish', () => this.served.push(path));
    response.on('close', () => {
      this.open -= 1;
    });
    this.authorizations.add(request.headers.authorization);
    if (this.authorization !== undefined && request.headers.authorization !== this.authorization) {
      response.writeHead(401).end();
      return;
    }
    const misbehaviour = this.misbehave.get(path);
    if (misbehaviour) {
      misbehaviour(request, response);
      return;
    }
    const content = path === 'PULP_MANIFEST' ? this.manifestContent() : this.files.get(path);
    const send = () => {
      if (!content) {
        response.writeHead(404).end();
        return;
      }
      const etag = `"${sha256(content)}"`;
      if (request.headers['if-none-match'] === etag) response.writeHead(304).end();
      else response.writeHead(200, { 'content-length': content.length, etag }).end(content);
    };
    if (this.delay > 0 && path !== 'PULP_MANIFEST') setTimeout(send, this.delay);
    else send();
  }

  private manifestContent(): Buffer {
    return this.manifest ?? Buffer.from([...this.files.keys()].map((path) => `${this.lineOf(path)}\n`).join(''));
  }
}

/** Files `file-0000.txt` to the given count, each with content of its own. */
export function numberedFiles(files: number, prefix = 'file'): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: files }, (_, index) => [
      `${prefix}-${String(index).padStart(5, '0')}.txt`,
      `${prefix} number ${index}\n`,
    ]),
  );
}

export function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
