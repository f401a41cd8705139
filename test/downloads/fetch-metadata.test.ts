import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { text } from 'node:stream/consumers';

import { fetchMetadata, hasChanged, type FetchedMetadata } from '../../src/downloads/fetch-metadata';
import { metadataKey } from '../../src/storage/storage';
import { failureOf, remoteOf, setUp, type SetUp } from './set-up';
import { Upstream, sha256Of } from './upstream';

const manifest = 'a,0000,1\n';
const sha256 = sha256Of(manifest);
const keyOf = (digest: string) => metadataKey('12', digest);
const lastModified = 'Mon, 01 Jan 2024 12:00:00 GMT';

let upstream: Upstream;
let context: SetUp;

beforeEach(async () => {
  upstream = await Upstream.start();
  context = await setUp(remoteOf(upstream.url));
});
afterEach(async () => {
  await context.tearDown();
  await upstream.stop();
});

describe('a metadata file', () => {
  it('is stored under its key, and what it is recognised by is kept', async () => {
    const url = upstream.serve('/PULP_MANIFEST', manifest, { etag: 'W/"1"', 'last-modified': lastModified });
    const pin = await fetchMetadata({ urls: [url] }, keyOf, context);
    expect(pin).toEqual({ url, sha256, size: manifest.length, etag: 'W/"1"', lastModified });
    expect(await text(context.storage.read(keyOf(sha256)))).toBe(manifest);
    expect(await context.temporaryFiles()).toEqual([]);
  });

  it('is fetched with the same retries, from the first url that has it', async () => {
    const url = upstream.on('/b', (response, { nth }) => {
      response.writeHead(nth === 1 ? 503 : 200).end(manifest);
    });
    const pin = await fetchMetadata({ urls: [`${upstream.url}/a`, url], digests: { sha256 } }, keyOf, context);
    expect(pin).toMatchObject({ url, etag: null, lastModified: null });
    expect(upstream.seen.map(({ path }) => path)).toEqual(['/a', '/b', '/b']);
  });

  it('is validated where upstream declares it', async () => {
    const url = upstream.serve('/b', 'other');
    const failure = await failureOf(fetchMetadata({ urls: [url], digests: { sha256 } }, keyOf, context));
    expect(failure.message).toContain(`expected sha256 ${sha256}, found ${sha256Of('other')} (4 attempts)`);
  });

  it('that is missing, or larger than the limit, is an error', async () => {
    const missing = await failureOf(fetchMetadata({ urls: [`${upstream.url}/a`] }, keyOf, context));
    expect(missing.details).toMatchObject({ url: `${upstream.url}/a`, status: 404, attempts: 1 });
    const limits = { ...context.limits, maxSize: 5 };
    const url = upstream.serve('/b', manifest);
    const large = await failureOf(fetchMetadata({ urls: [url] }, keyOf, { ...context, limits }));
    expect(large.message).toContain('larger than the limit of 5 bytes');
    expect(await context.temporaryFiles()).toEqual([]);
  });
});

describe('whether a metadata file has changed', () => {
  const pinOf = (url: string, more: Partial<FetchedMetadata>): FetchedMetadata => ({
    url,
    sha256,
    size: manifest.length,
    etag: null,
    lastModified: null,
    ...more,
  });

  it.each([
    ['its ETag', { etag: '"1"', lastModified }, { 'if-none-match': '"1"' }],
    ['its date', { lastModified }, { 'if-modified-since': lastModified }],
  ])('is asked by %s', async (_name, known, condition) => {
    const url = upstream.on('/a', (response) => void response.writeHead(304).end());
    expect(await hasChanged(pinOf(url, known), context)).toBe(false);
    expect(upstream.seen[0]?.headers).toMatchObject(condition);
    expect(upstream.seen[0]?.headers).not.toHaveProperty('etag' in known ? 'if-modified-since' : 'if-none-match');
  });

  it('is compared by its bytes where the server sends them', async () => {
    const same = upstream.serve('/same', manifest);
    const other = upstream.serve('/other', `${manifest}b,1111,1\n`);
    expect(await hasChanged(pinOf(same, { etag: '"1"' }), context)).toBe(false);
    expect(await hasChanged(pinOf(other, { etag: '"1"' }), context)).toBe(true);
    expect(await context.storage.sizeOf(keyOf(sha256))).toBeUndefined();
  });

  it.each([403, 404, 410])('is yes where upstream answers %d: it is gone', async (status) => {
    const url = upstream.on('/a', (response) => void response.writeHead(status).end());
    expect(await hasChanged(pinOf(url, { etag: '"1"' }), context)).toBe(true);
    expect(upstream.seen).toHaveLength(1);
  });

  it.each([
    [500, 4],
    [401, 1],
  ])('is an error where upstream does not say, but answers %d', async (status, attempts) => {
    const url = upstream.on('/a', (response) => void response.writeHead(status).end());
    const failure = await failureOf(hasChanged(pinOf(url, {}), context));
    expect(failure.failures[0].attempts).toBe(attempts);
  });
});
