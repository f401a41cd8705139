import { describe, expect, it } from '@jest/globals';

import {
  bestStrongDigest,
  declaredNames,
  parseDigests,
  refuseWeakDigests,
  type Digests,
} from '../../src/downloads/digests';
import { displayUrl } from '../../src/downloads/display-url';
import { strongValidator } from '../../src/downloads/resuming';
import { parseRetryAfter } from '../../src/downloads/retries';

const sha256 = 'AB'.repeat(32);

describe('declared digests', () => {
  it('are kept in lower case, the best first', () => {
    const parsed = parseDigests({ md5: 'A'.repeat(32), sha256 });
    expect(parsed).toEqual({ sha256: 'ab'.repeat(32), md5: 'a'.repeat(32) });
    expect(declaredNames(parsed)).toEqual(['sha256', 'md5']);
    expect(bestStrongDigest(parsed)).toBe(`sha256:${'ab'.repeat(32)}`);
    expect(bestStrongDigest({ md5: 'a'.repeat(32) })).toBeUndefined();
  });

  it.each<[string, Digests]>([
    ['no hexadecimal', { sha256: 'g'.repeat(64) }],
    ['too short', { sha512: 'a'.repeat(64) }],
    ['empty', { md5: '' }],
    ['ended by a line break', { sha1: `${'a'.repeat(39)}\n` }],
  ])('are refused when %s', (_why, digests) => {
    expect(() => parseDigests(digests)).toThrow(/^Not a .* digest: expected \d+ hexadecimal digits, found "/);
  });

  it('are refused when all of them are weak', () => {
    expect(() => {
      refuseWeakDigests({ sha1: '', md5: '' }, 'http://a/b');
    }).toThrow(/Only sha1 and md5 is known of http:\/\/a\/b.*PENSTOCK_ALLOW_WEAK_DIGESTS=true/);
    expect(() => {
      refuseWeakDigests({ md5: '', sha224: '' }, 'http://a/b');
    }).not.toThrow();
    expect(() => {
      refuseWeakDigests({}, 'http://a/b');
    }).not.toThrow();
  });
});

describe('Retry-After', () => {
  const now = Date.UTC(2024, 0, 1, 12, 0, 0);
  it.each([
    ['120', 120_000],
    ['0', 0],
    ['Mon, 01 Jan 2024 12:00:30 GMT', 30_000],
    ['Mon, 01 Jan 2024 11:00:00 GMT', 0],
    ['soon', undefined],
    [undefined, undefined],
  ])('%j is %p ms', (value, expected) => {
    expect(parseRetryAfter(value, now)).toBe(expected);
  });
});

describe('a url in a message', () => {
  it.each([
    ['https://user:secret@host/a?b=c', 'https://host/a?b=c'],
    ['https://secret@host', 'https://host'],
    ['https://user:sec@ret@host/a@b', 'https://host/a@b'],
    ['https:user:secret@host/', 'https:host/'],
    ['user:secret@host/x', 'user:host/x'],
    ['https://host/a@b', 'https://host/a@b'],
  ])('%j is shown as %j', (url, shown) => {
    expect(displayUrl(url)).toBe(shown);
  });
});

describe('what a broken body is recognised by', () => {
  const modified = 'Mon, 01 Jan 2024 12:00:00 GMT';
  it.each([
    [{ etag: '"a"', 'last-modified': modified }, '"a"'],
    [{ etag: 'W/"a"', 'last-modified': modified, date: 'Mon, 01 Jan 2024 13:00:00 GMT' }, undefined],
    [{ 'last-modified': modified, date: 'Mon, 01 Jan 2024 12:00:01 GMT' }, modified],
    [{ 'last-modified': modified, date: modified }, undefined],
    [{ 'last-modified': modified }, undefined],
    [{}, undefined],
  ])('%j: %j', (headers, expected) => {
    expect(strongValidator(headers)).toBe(expected);
  });
});
