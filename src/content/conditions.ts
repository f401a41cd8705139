import type { IncomingHttpHeaders } from 'node:http';

import fresh from 'fresh';
import parseRange from 'range-parser';

import type { ByteRange } from './found-file';

/** What tells one state of a file from another; both as they stand in the response's headers. */
export interface Validators {
  readonly etag: string | undefined;
  readonly lastModified: string;
}

/** Ranges of one request; who asks for more gets the whole file, as from other servers. */
const mostRanges = 100;

/**
 * What a request's conditions come to (RFC 9110, 13.2.2): 412, 304, or undefined where the file is to be sent.
 *
 * A date has to be the very one that was sent: after a rollback a path may hold an older file than the client has.
 */
export function checkConditions(headers: IncomingHttpHeaders, validators: Validators): 304 | 412 | undefined {
  const { etag, lastModified } = validators;
  const match = headers['if-match'];
  if (match !== undefined) {
    if (match.trim() !== '*' && !(etag !== undefined && listOf(match).some((each) => each === etag && !isWeak(each))))
      return 412;
  } else {
    const unmodifiedSince = headers['if-unmodified-since'];
    if (unmodifiedSince !== undefined && Date.parse(unmodifiedSince) < Date.parse(lastModified)) return 412;
  }
  const noneMatch = headers['if-none-match'];
  const modifiedSince = headers['if-modified-since'];
  if (noneMatch === undefined && modifiedSince !== undefined && modifiedSince !== lastModified) return undefined;
  return fresh(headers, { etag, 'last-modified': lastModified }) ? 304 : undefined;
}

/**
 * The ranges that a GET asks for (RFC 9110, 14.2), those that overlap as one; undefined: the whole file; empty: none that
 * the file has.
 */
export function rangesOf(
  headers: IncomingHttpHeaders,
  size: number,
  validators: Validators,
): readonly ByteRange[] | undefined {
  const { range } = headers;
  if (range === undefined || !/^bytes=/i.test(range)) return undefined;
  const condition = headers['if-range'];
  if (condition !== undefined && condition !== validators.etag && condition !== validators.lastModified) {
    return undefined;
  }
  if (range.split(',', mostRanges + 1).length > mostRanges) return undefined;
  // The last n bytes of a file that has fewer are all of it; the parser takes them for none.
  const within = range.replace(/([=,]\s*-)(\d+)/g, (_, before: string, last: string) =>
    before.concat(String(Math.min(Number(last), size))),
  );
  const ranges = parseRange(size, within, { combine: true });
  if (ranges === -2) return undefined;
  return ranges === -1 ? [] : ranges;
}

function isWeak(etag: string): boolean {
  return etag.startsWith('W/');
}

function listOf(header: string): string[] {
  return header.split(',').map((each) => each.trim());
}
