import type { RemoteResponse } from './remote-client';

type Headers = RemoteResponse['headers'];

/**
 * What `If-Range` may name: a strong ETag; or, where there is no ETag at all, a Last-Modified at least a second older than the answer
 * (RFC 9110, 13.1.5 and 8.8.2.2). `undefined`: such a body cannot be continued.
 */
export function strongValidator(headers: Headers): string | undefined {
  const etag = textOf(headers.etag);
  if (etag !== undefined) return etag.startsWith('"') ? etag : undefined;
  const modified = textOf(headers['last-modified']);
  if (modified === undefined) return undefined;
  const age = Date.parse(textOf(headers.date) ?? '') - Date.parse(modified);
  return age >= 1000 ? modified : undefined;
}

/** Where the bytes of a 206 begin, by its Content-Range. */
export function rangeStart({ headers }: RemoteResponse): number | undefined {
  const start = /^bytes (\d+)-/.exec(textOf(headers['content-range']) ?? '')?.[1];
  return start === undefined ? undefined : Number(start);
}

/** A part of a file whose size is known; both offsets are inclusive. */
export interface BodyPart {
  readonly start: number;
  readonly end: number;
  /** Bytes of the whole file. */
  readonly size: number;
}

/** Whether a 206 holds just the part that was asked for, of a file of that size and not of a compressed one. */
export function holdsPart({ headers }: RemoteResponse, { start, end, size }: BodyPart): boolean {
  const encoding = textOf(headers['content-encoding']) ?? 'identity';
  return encoding === 'identity' && textOf(headers['content-range']) === `bytes ${start}-${end}/${size}`;
}

/** A header that is there once. */
export function textOf(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
