import { randomBytes } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { extname } from 'node:path/posix';

import { lookup, contentType } from 'mime-types';

import { checkConditions, rangesOf } from './conditions';
import type { Validators } from './conditions';
import type { ByteRange, ReadableFile } from './found-file';
import { sendBytes } from './send-bytes';

/** What is said about a file beside its bytes. */
export interface FileDescription {
  readonly path: string;
  readonly lastModified: Date;
  readonly sha256: string | undefined;
  /** Whether the bytes may turn out to be others: then the ETag is a weak one, so that nobody puts parts together by it. */
  readonly doubtful?: boolean;
  /** Whether only some may read it: no shared cache may keep it. */
  readonly guarded: boolean;
}

/** What the client has is used only once this server said that it is still the file of this path. */
const revalidated = 'no-cache';
const boundary = randomBytes(18).toString('hex');

/** The headers of a file, whole or not; undefined where the request's conditions have been answered. */
export function beginFile(
  request: IncomingMessage,
  response: ServerResponse,
  description: FileDescription,
): { readonly headers: OutgoingHttpHeaders; readonly validators: Validators } | undefined {
  const { path, lastModified, sha256, doubtful, guarded } = description;
  const validators = {
    etag: sha256 === undefined ? undefined : `${doubtful ? 'W/' : ''}"${sha256}"`,
    lastModified: lastModified.toUTCString(),
  };
  const headers: OutgoingHttpHeaders = {
    'Last-Modified': validators.lastModified,
    'Cache-Control': guarded ? `private, ${revalidated}` : revalidated,
  };
  if (validators.etag !== undefined) headers.ETag = validators.etag;
  const status = checkConditions(request.headers, validators);
  if (status !== undefined) {
    response.writeHead(status, status === 412 ? { ...headers, 'Content-Length': 0 } : headers).end();
    return undefined;
  }
  const type = typeOf(path);
  headers['Content-Type'] = type;
  headers['X-Content-Type-Options'] = 'nosniff';
  // Pages of a mirror run no script, and are of no origin.
  if (/html|xml|svg/.test(type)) headers['Content-Security-Policy'] = 'sandbox';
  return { headers, validators };
}

/**
 * Answers with a file: whole, in part, or only with what is known of it.
 *
 * @throws what its `open` throws: nothing was sent then, and another answer can be given
 */
export async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  description: Omit<FileDescription, 'sha256' | 'doubtful'>,
  file: ReadableFile,
  signal: AbortSignal,
): Promise<void> {
  const { sha256, doubt } = file;
  const begun = beginFile(request, response, { ...description, sha256, doubtful: doubt !== undefined });
  if (!begun) return;
  const { headers, validators } = begun;
  const { size } = file;
  // Of what may be another file by now than the one that broke off, no rest is sent.
  const parts = size !== undefined && doubt !== 'disputed';
  if (parts) headers['Accept-Ranges'] = 'bytes';
  const head = request.method === 'HEAD';
  const goesOn = doubt !== undefined && request.headers['if-range'] !== undefined;
  // A range of a HEAD has no meaning (RFC 9110, 14.2).
  const ranges = !parts || head || goesOn ? undefined : rangesOf(request.headers, size, validators);
  if (size !== undefined && ranges?.length === 0) {
    response.writeHead(416, { 'Content-Range': `bytes */${size}`, 'Content-Length': 0 }).end();
    return;
  }
  if (size !== undefined && file.inParts && ranges && ranges.length > 1) {
    await sendParts(response, headers, file, { size, ranges, signal });
    return;
  }
  // A server may answer with the whole file (RFC 9110, 14.2).
  const range = ranges?.length === 1 ? ranges[0] : undefined;
  const length = range ? lengthOf(range) : size;
  if (length !== undefined) headers['Content-Length'] = length;
  if (range) headers['Content-Range'] = `bytes ${range.start}-${range.end}/${size ?? '*'}`;
  const status = range ? 206 : 200;
  if (head || length === 0) {
    response.writeHead(status, headers).end();
    return;
  }
  const bytes = await file.open(range, signal);
  response.writeHead(status, headers);
  await sendBytes(response, bytes, { length, last: true });
}

interface Parts {
  readonly size: number;
  readonly ranges: readonly ByteRange[];
  readonly signal: AbortSignal;
}

/** Several ranges as one body (RFC 9110, 14.6). */
async function sendParts(
  response: ServerResponse,
  headers: OutgoingHttpHeaders,
  file: ReadableFile,
  { size, ranges, signal }: Parts,
): Promise<void> {
  const type = String(headers['Content-Type']);
  const parts = ranges.map((range) => ({
    range,
    heading: `\r\n--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: bytes ${range.start}-${range.end}/${size}\r\n\r\n`,
  }));
  const closing = `\r\n--${boundary}--\r\n`;
  const length = parts.reduce((sum, { range, heading }) => sum + heading.length + lengthOf(range), closing.length);
  let begun = false;
  for (const { range, heading } of parts) {
    const bytes = await file.open(range, signal);
    if (!begun) {
      headers['Content-Type'] = `multipart/byteranges; boundary=${boundary}`;
      headers['Content-Length'] = length;
      response.writeHead(206, headers);
      begun = true;
    }
    response.write(heading);
    await sendBytes(response, bytes, { length: lengthOf(range), last: false });
  }
  response.end(closing);
}

function lengthOf({ start, end }: ByteRange): number {
  return end - start + 1;
}

/** The media type of a file, by its name's last extension: a compressed file is sent as the file that it is. */
export function typeOf(path: string): string {
  const extension = extname(path);
  const type = extension === '' ? false : lookup(extension);
  return (type && contentType(type)) || 'application/octet-stream';
}
