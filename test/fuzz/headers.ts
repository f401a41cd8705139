import assert from 'node:assert/strict';

import fc from 'fast-check';

import { digestNames, InvalidDigest, parseDigest } from '../../src/downloads/digests';
import { displayTarget, displayUrl } from '../../src/downloads/display-url';
import { RefusedUrl } from '../../src/downloads/download-error';
import type { RemoteResponse } from '../../src/downloads/remote-client';
import { rangeStart, strongValidator } from '../../src/downloads/resuming';
import { parseRetryAfter } from '../../src/downloads/retries';
import { parseRedirect, parseUrl } from '../../src/downloads/urls';
import { FileStorage } from '../../src/storage/file-storage';
import { InvalidStorageKey } from '../../src/storage/storage-key';
import type { Fuzzer } from './fuzzer';
import { mutationsOf } from './mutations';

/** What stands in headers, and in what else is one line. */
const lines = fc.constantFrom(
  '120',
  'Fri, 31 Dec 2027 23:59:59 GMT',
  'bytes 100-199/200',
  'bytes */200',
  '"an etag"',
  'W/"weak"',
  '/elsewhere?q=1#part',
  '//other.example/a',
  'http://me:hunter2@upstream.example/a/../b',
  'https://upstream.example:8443/é',
  'file:///etc/passwd',
  'ab'.repeat(32),
  'ab'.repeat(16),
  `artifact/ab/${'cd'.repeat(31)}`,
  'metadata/12/abc',
);
const from = new URL('http://upstream.example/files/a');
const storage = FileStorage.forReading('/srv/penstock');

/** All that is read of one line: headers, urls, digests; and keys of the storage. */
export const headers: Fuzzer = {
  name: 'headers',
  inputs: mutationsOf(lines.map((line) => Buffer.from(line))),
  check: async (input) => {
    const text = input.toString('utf8');
    checkTimesAndRanges(text);
    checkUrls(text);
    for (const name of digestNames) {
      const digest = orRefused(() => parseDigest(name, text), InvalidDigest);
      if (digest !== undefined) assert.match(digest, /^[0-9a-f]{32,128}$/);
    }
    await checkKey(text);
  },
};

function checkTimesAndRanges(text: string): void {
  const wait = parseRetryAfter(text);
  assert.ok(wait === undefined || (wait >= 0 && Number.isFinite(wait)), `Retry-After became ${wait}`);
  const start = rangeStart({ headers: { 'content-range': text } } as unknown as RemoteResponse);
  assert.ok(start === undefined || start >= 0, `the range begins at ${start}`);
  const validator = strongValidator({ etag: text });
  assert.ok(validator === undefined || validator.startsWith('"'), 'a weak validator is none');
  const dated = strongValidator({ 'last-modified': 'Fri, 31 Dec 2021 23:59:59 GMT', date: text });
  assert.ok(dated === undefined || Date.parse(text) > 0);
}

function checkUrls(text: string): void {
  const url = orRefused(() => parseUrl(text), RefusedUrl, text);
  if (url) {
    assert.match(url.protocol, /^(https?|file):$/);
    assert.equal(url.username + url.password, '');
  }
  const target = orRefused(() => parseRedirect(from, text, 'the url'), RefusedUrl, text);
  if (target) {
    assert.match(target.protocol, /^https?:$/);
    assert.equal(target.username + target.password, '');
    displayTarget(target);
  }
  requireNoPassword(text, displayUrl(text));
}

/** @returns `undefined` where it is refused; the message shows no password */
function orRefused<T>(parse: () => T, refusal: new (...given: never[]) => Error, text = ''): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof refusal)) throw error;
    assert.ok(error.message.length < 10_000, 'its message is short');
    requireNoPassword(text, error.message);
    return undefined;
  }
}

function requireNoPassword(text: string, shown: string): void {
  const { password } = URL.canParse(text, from.href) ? new URL(text, from) : { password: '' };
  const shows = shown.includes('hunter2') && text.split('hunter2').length === 2;
  assert.ok(!shows || !password.includes('hunter2'), `${JSON.stringify(shown)} shows a password`);
}

async function checkKey(key: string): Promise<void> {
  try {
    await storage.sizeOf(key);
  } catch (error) {
    if (error instanceof InvalidStorageKey) return;
    // A name that is longer than file systems take.
    if ((error as NodeJS.ErrnoException).code !== 'ENAMETOOLONG') throw error;
  }
  const path = new URL(`file:///srv/penstock/${key}`).pathname;
  assert.equal(path, `/srv/penstock/${key}`);
  assert.ok(!key.startsWith('tmp/'));
}
