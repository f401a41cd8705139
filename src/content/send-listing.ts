import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

import Negotiator from 'negotiator';

import { listingPage, listingPolicy, nextQuery } from './listing-page';
import type { ListingPage } from './listings';

const compress = promisify(gzip);
/** Bytes: less is not worth being compressed. */
const worthIt = 1024;

/** What a listing is of. */
export interface Listed {
  /** As the heading shows it, with a slash at both ends. */
  readonly path: string;
  readonly page: ListingPage;
  readonly guarded: boolean;
  /** Whether there is no folder above it. */
  readonly isTop: boolean;
}

/** Answers with a listing, as a page for people or as JSON, whichever is asked for. */
export async function sendListing(request: IncomingMessage, response: ServerResponse, listed: Listed): Promise<void> {
  const { path, page, guarded, isTop } = listed;
  const negotiator = new Negotiator(request);
  const json = negotiator.mediaType(['text/html', 'application/json']) === 'application/json';
  const text = json ? JSON.stringify(page) : listingPage(path, page, isTop);
  const headers: OutgoingHttpHeaders = {
    'Content-Type': json ? 'application/json' : 'text/html; charset=utf-8',
    'Cache-Control': guarded ? 'private, no-cache' : 'no-cache',
    Vary: 'Accept, Accept-Encoding',
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': listingPolicy,
  };
  if (page.next !== undefined) headers.Link = `<${nextQuery(page.next)}>; rel="next"`;
  let body = Buffer.from(text);
  if (body.length > worthIt && negotiator.encoding(['gzip', 'identity']) === 'gzip') {
    body = await compress(body);
    headers['Content-Encoding'] = 'gzip';
  }
  headers['Content-Length'] = body.length;
  response.writeHead(200, headers).end(body);
}
