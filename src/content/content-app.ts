import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { basename } from 'node:path/posix';

import type { Pool } from 'pg';
import type { Logger } from 'pino';

import type { StoredFile } from '../downloads/download-artifact';
import { asError } from '../errors';
import type { Settings } from '../settings';
import { artifactKey } from '../storage/storage';
import type { Storage } from '../storage/storage';
import { logRequests, loggedPath } from './access-log';
import { listBasePaths } from './base-paths';
import { DistributionLookup } from './distribution-lookup';
import type { ServedDistribution, ServedVersion } from './distribution-lookup';
import { FileUnavailable } from './errors';
import { FileLookup } from './file-lookup';
import type { DeferredFiles, FoundFile } from './found-file';
import { Guards } from './guards';
import { Listings } from './listings';
import { encodePath, readPath } from './request-path';
import { BodyBroken } from './send-bytes';
import { beginFile, sendFile, typeOf } from './send-file';
import { sendListing } from './send-listing';
import { StoredFileLost, openStored } from './stored-file';
import { inOneVersion } from './version-gone';

/** What the content app works with. */
export interface ContentDependencies {
  /** For look-ups only: {@link openLookupPool}. */
  readonly pool: Pool;
  readonly storage: Pick<Storage, 'read' | 'readAll' | 'readInTurn' | 'sizeOf' | 'urlOf'>;
  readonly deferred: DeferredFiles;
  readonly logger: Logger;
  readonly settings: Pick<Settings, 'contentAccel' | 'contentRedirect' | 'contentTrustProxy'>;
}

const root = '/pulp/content/';
/** Seconds for which a client may begin to read at a signed url. */
const signedFor = 60;

/** A stored file is read no further than its client takes it; a signal for each request would be a good part of its time. */
const notAborted = new AbortController().signal;

/** Whoever has the bytes of a file, as the headers of an answer say it. */
interface Elsewhere {
  readonly status: 200 | 302;
  readonly headers: OutgoingHttpHeaders;
}

/** A request below a base path, and what it may read there. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly version: ServedVersion;
  readonly guarded: boolean;
  /** What the path leads to, where it was looked up already. */
  readonly file: Promise<FoundFile | undefined> | undefined;
}

/** Answers requests for the files of distributions. */
export class ContentApp {
  private readonly distributions: DistributionLookup;
  private readonly files: FileLookup;
  private readonly listings: Listings;
  private readonly guards: Guards;
  private readonly log: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;

  constructor(private readonly dependencies: ContentDependencies) {
    const { pool, logger, settings } = dependencies;
    this.distributions = new DistributionLookup(pool);
    this.files = new FileLookup(pool);
    this.listings = new Listings(pool);
    this.guards = new Guards(pool, { trustProxy: settings.contentTrustProxy });
    this.log = logger.isLevelEnabled('info') ? logRequests(logger) : undefined;
  }

  /** Answers a request in every case. */
  async respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.log?.(request, response);
    // The body that nobody asked for is not waited for: the connection ends with the answer.
    if (hasBody(request)) response.shouldKeepAlive = false;
    try {
      await this.answer(request, response);
    } catch (error) {
      this.fail(asError(error), request, response);
    }
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = '' } = request;
    if (method !== 'GET' && method !== 'HEAD') {
      sendText(response, 405, 'GET and HEAD only.', { Allow: 'GET, HEAD' });
      return;
    }
    const path = readPath(url);
    if (typeof path !== 'string') {
      sendText(response, path.status, path.message);
    } else if (path === root) {
      const page = await listBasePaths(this.dependencies.pool, afterOf(url));
      await sendListing(request, response, { path, page, guarded: false, isTop: true });
    } else if (path === root.slice(0, -1)) {
      redirect(response, root);
    } else if (path.startsWith(root)) {
      await inOneVersion(() => this.answerBelow(path.slice(root.length), request, response));
    } else {
      sendText(response, 404, `There is nothing here; content lies below ${root}.`);
    }
  }

  private async answerBelow(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const guess = this.guess(path);
    const distribution = await this.distributions.find(path);
    if (!distribution) {
      sendText(response, 404, 'No distribution has this path.');
      return;
    }
    // Whatever the answer comes to be, a refusal or a failure too.
    if (distribution.guard !== null) response.setHeader('Cache-Control', 'private, no-cache');
    const refusal = distribution.guard === null ? undefined : await this.guards.check(distribution, request);
    if (refusal) {
      sendText(response, refusal.status, refusal.message, refusal.headers);
      return;
    }
    const { version, basePath } = distribution;
    if (path === basePath) redirect(response, `${root}${encodePath(path)}/`);
    else if (!version) sendText(response, 404, 'The distribution serves no version.');
    else {
      const exchange = {
        ...{ request, response, version, guarded: distribution.guard !== null },
        file: guess?.version.id === version.id ? guess.file : undefined,
      };
      await this.answerFrom(exchange, distribution, path.slice(basePath.length + 1));
    }
  }

  /** Looks the file up at the same time as the distribution, in the version that was served last: it nearly always is the one. */
  private guess(path: string): { version: ServedVersion; file: Promise<FoundFile | undefined> } | undefined {
    const last = this.distributions.guess(path);
    if (!last?.version || path === last.basePath || path.endsWith('/')) return undefined;
    const file = this.files.find(last.version, path.slice(last.basePath.length + 1));
    // Nobody may come to wait for it.
    file.catch(() => undefined);
    return { version: last.version, file };
  }

  private async answerFrom(exchange: Exchange, distribution: ServedDistribution, path: string): Promise<void> {
    const { request, response, version, guarded } = exchange;
    if (path === '' || path.endsWith('/')) {
      const page = await this.listings.page(version, path, afterOf(request.url));
      if (page.entries.length === 0) await this.distributions.requireVersion(version);
      const shown = `${root}${distribution.basePath}/${path}`;
      if (page.entries.length === 0 && path !== '') sendText(response, 404, 'The version has no such folder.');
      else await sendListing(request, response, { path: shown, page, guarded, isTop: false });
      return;
    }
    const file = await (exchange.file ?? this.files.find(version, path));
    if (file) await this.send(exchange, file);
    else if (await this.listings.isFolder(version, path)) {
      redirect(response, `${root}${encodePath(`${distribution.basePath}/${path}`)}/`);
    } else await this.refuse(exchange);
  }

  private async refuse({ response, version }: Exchange): Promise<void> {
    await this.distributions.requireVersion(version);
    sendText(response, 404, 'The version has no such file.');
  }

  private async send(exchange: Exchange, file: FoundFile): Promise<void> {
    const { request, response, version, guarded } = exchange;
    // The client may have left while the file was looked up.
    if (response.destroyed || (file.stored && (await this.sendStored(exchange, file)))) return;
    this.files.forget(version, file.path);
    // What was stored a moment ago may have been given back since; what only should be stored is had as if it were not.
    const found = file.stored ? await this.files.find(version, file.path) : file;
    if (!found) {
      await this.refuse(exchange);
      return;
    }
    this.files.forget(version, file.path);
    const signal = endOf(response);
    const deferred = await this.dependencies.deferred.find(found, signal);
    await sendFile(request, response, { ...found, guarded }, deferred, signal);
  }

  /** Whether the stored file could be had. */
  private async sendStored(exchange: Exchange, file: FoundFile): Promise<boolean> {
    const { path, lastModified, stored } = file;
    const { request, response, guarded } = exchange;
    if (!stored) return false;
    const { storage, logger } = this.dependencies;
    const elsewhere = await this.findElsewhere(request, file, stored);
    if (elsewhere === 'lost') return false;
    if (elsewhere) {
      const begun = beginFile(request, response, { path, lastModified, sha256: stored.sha256, guarded });
      if (begun) response.writeHead(elsewhere.status, { ...begun.headers, ...elsewhere.headers }).end();
      return true;
    }
    try {
      await sendFile(request, response, { path, lastModified, guarded }, openStored(storage, stored), notAborted);
      return true;
    } catch (error) {
      if (!(error instanceof StoredFileLost) || response.headersSent) throw error;
      logger.warn({ path, error }, 'A stored file is lost; its sources are asked');
      return false;
    }
  }

  /** Where the bytes of a stored file are to be had, if not from here. */
  private async findElsewhere(
    { method, headers }: IncomingMessage,
    { path }: FoundFile,
    { sha256, size }: StoredFile,
  ): Promise<Elsewhere | 'lost' | undefined> {
    const { storage, settings } = this.dependencies;
    const { contentAccel, contentRedirect } = settings;
    const key = artifactKey(sha256);
    // The web server would compare these with the dates of its files.
    const comparesDates = headers['if-match'] !== undefined || headers['if-unmodified-since'] !== undefined;
    if (contentAccel !== undefined && !comparesDates) {
      if ((await storage.sizeOf(key)) !== size) return 'lost';
      return { status: 200, headers: { 'X-Accel-Redirect': contentAccel + key, 'Content-Length': 0 } };
    }
    // A url is signed for one method.
    if (!contentRedirect || method !== 'GET' || !storage.urlOf) return undefined;
    if ((await storage.sizeOf(key)) !== size) return 'lost';
    const use = { contentType: typeOf(path), filename: basename(path), expiresIn: signedFor };
    const location = await storage.urlOf(key, use);
    return { status: 302, headers: { Location: location, 'Cache-Control': 'no-store', 'Content-Length': 0 } };
  }

  private fail(error: Error, request: IncomingMessage, response: ServerResponse): void {
    const { logger } = this.dependencies;
    if (response.destroyed) return;
    const path = loggedPath(request);
    if (response.headersSent) {
      // The client must not take what it has for the whole.
      logger.warn({ path, error }, error instanceof BodyBroken ? 'A body broke' : 'A body could not be sent');
      response.destroy();
    } else if (error instanceof FileUnavailable) {
      logger.warn({ path: error.path, reasons: error.reasons }, 'A file can be had from no source');
      const { retryAfter } = error;
      const headers = retryAfter === undefined ? {} : { 'Retry-After': Math.ceil(retryAfter) };
      sendText(response, 502, 'The file can be had from no source now.', headers);
    } else {
      logger.error({ path, error }, 'A request failed');
      sendText(response, 503, 'This cannot be answered now.', { 'Retry-After': 5 });
    }
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

function afterOf(url = ''): string | undefined {
  const start = url.indexOf('?');
  if (start === -1) return undefined;
  const after = new URLSearchParams(url.slice(start + 1)).get('after');
  // PostgreSQL knows no text with a NUL.
  return after?.replaceAll('\0', '') ?? undefined;
}

/** Aborted when the client has gone. */
function endOf(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  const abort = () => {
    if (!response.writableFinished) controller.abort(new BodyBroken('the client has gone'));
  };
  if (response.destroyed) abort();
  else response.once('close', abort);
  return controller.signal;
}

function redirect(response: ServerResponse, location: string): void {
  sendText(response, 301, location, { Location: location });
}

function sendText(
  response: ServerResponse,
  status: number,
  message: string,
  headers: Readonly<Record<string, string | number>> = {},
): void {
  const body = `${message}\n`;
  response
    .writeHead(status, {
      ...headers,
      'Content-Type': 'text/plain; charset=utf-8',
      'Content-Length': Buffer.byteLength(body),
      'X-Content-Type-Options': 'nosniff',
      'Cache-Control': response.getHeader('Cache-Control') ?? 'no-cache',
    })
    .end(body);
}
