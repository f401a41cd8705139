import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';

import { downloadArtifact, type WantedArtifact } from '../../src/downloads/download-artifact';
import { DigestMismatch, SizeMismatch } from '../../src/downloads/download-error';
import { standardLimits } from '../../src/downloads/retries';
import { FileStorage } from '../../src/storage/file-storage';
import { StorageFull } from '../../src/storage/storage-full';
import { artifactKey } from '../../src/storage/storage';
import { failureOf, remoteOf, setUp, type SetUp } from './set-up';
import { Upstream, sha256Of } from './upstream';

const body = 'the bytes of a package';
const sha256 = sha256Of(body);
const sha1 = '0d4e1a2cf3d3a1c3f5a2dd4a24a29c6a9f0a6b5c';

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

const wanted = (url: string, more: Partial<WantedArtifact> = {}): WantedArtifact => ({
  urls: [url],
  digests: { sha256 },
  ...more,
});

/** A body that never ends, and does not say how long it is. */
function endless(response: ServerResponse, onSent: (bytes: number) => void = () => undefined): void {
  const feed = () => {
    let flowing = true;
    while (flowing && !response.destroyed) {
      flowing = response.write(Buffer.alloc(65_536));
      onSent(65_536);
    }
  };
  response.on('drain', feed);
  feed();
}

async function expectNothingStored(digest = sha256): Promise<void> {
  expect(await context.temporaryFiles()).toEqual([]);
  expect(await context.storage.sizeOf(artifactKey(digest))).toBeUndefined();
}

describe('a download', () => {
  it('lies under its sha256 once all that was declared was found right', async () => {
    const url = upstream.serve('/a', body);
    const md5 = 'C9C9B9E4D9D0E4F5A1B3';
    await expect(downloadArtifact(wanted(url, { digests: { sha256, md5 } }), context)).rejects.toThrow(
      /Not a md5 digest/,
    );
    expect(upstream.seen).toHaveLength(0);

    let bytes = 0;
    const onBytes = (more: number) => (bytes += more);
    const digests = { sha256: sha256.toUpperCase() };
    const done = await downloadArtifact(wanted(url, { digests, size: body.length }), { ...context, onBytes });
    expect(done).toEqual({ sha256, size: body.length, digests: { sha256 }, url });
    expect(bytes).toBe(body.length);
    expect(await context.storage.sizeOf(artifactKey(sha256))).toBe(body.length);
    expect(await context.temporaryFiles()).toEqual([]);
  });

  it('computes sha256 and what is declared, and no more', async () => {
    const sha512 = createHash('sha512').update(body).digest('hex');
    const done = await downloadArtifact(wanted(upstream.serve('/a', body), { digests: { sha512 } }), context);
    expect(done.digests).toEqual({ sha256, sha512 });
  });

  it('may be of a file of which nothing is known, and of an empty one', async () => {
    expect(await downloadArtifact({ urls: [upstream.serve('/a', body)], digests: {} }, context)).toMatchObject({
      sha256,
    });
    const empty = await downloadArtifact({ urls: [upstream.serve('/b', '')], digests: {}, size: 0 }, context);
    expect(empty).toMatchObject({ sha256: sha256Of(''), size: 0 });
    expect(await context.storage.sizeOf(artifactKey(sha256Of('')))).toBe(0);
  });

  it('is refused when only weak digests are known, unless they are allowed', async () => {
    const digests = { sha1: createHash('sha1').update(body).digest('hex') };
    const url = upstream.serve('/a', body);
    await expect(downloadArtifact({ urls: [url], digests }, context)).rejects.toMatchObject({ name: 'WeakDigest' });
    expect(upstream.seen).toHaveLength(0);
    const done = await downloadArtifact({ urls: [url], digests }, { ...context, allowWeakDigests: true });
    expect(done).toMatchObject({ sha256, digests: { sha256, ...digests } });
    const wrong = downloadArtifact({ urls: [url], digests: { sha1 } }, { ...context, allowWeakDigests: true });
    expect((await failureOf(wrong)).failures[0].error).toBeInstanceOf(DigestMismatch);
  });
});

describe('what is not as declared', () => {
  it('is tried again when its digest differs, then told with both digests', async () => {
    const url = upstream.serve('/a', 'other bytes, same url');
    const failure = await failureOf(downloadArtifact(wanted(url), context));
    const found = sha256Of('other bytes, same url');
    expect(upstream.seen).toHaveLength(4);
    expect(failure.message).toBe(`Could not download ${url}: expected sha256 ${sha256}, found ${found} (4 attempts)`);
    expect(failure.details).toMatchObject({ url, expected: sha256, found, attempts: 4 });
    expect(failure.transient).toBe(false);
    await expectNothingStored();
    await expectNothingStored(found);
  });

  it('is fetched from its start after a digest was wrong', async () => {
    const url = upstream.on('/a', (response, { nth }) => {
      response.writeHead(200, { etag: '"1"' }).end(nth === 1 ? 'X'.repeat(body.length) : body);
    });
    await downloadArtifact(wanted(url), context);
    expect(upstream.seen.map(({ headers }) => headers.range)).toEqual([undefined, undefined]);
  });

  it.each([
    ['too short', body.length + 5, `expected ${body.length + 5} bytes, found ${body.length}`],
    ['too long', body.length - 5, `expected ${body.length - 5} bytes, found ${body.length}`],
  ])('is tried again when it is %s, then told with both sizes', async (_how, size, reason) => {
    const url = upstream.serve('/a', body);
    const failure = await failureOf(downloadArtifact(wanted(url, { size }), context));
    expect(failure.failures[0]).toMatchObject({ attempts: 4, error: expect.any(SizeMismatch) });
    expect(failure.message).toBe(`Could not download ${url}: ${reason} (4 attempts)`);
    await expectNothingStored();
  });

  it('is cut at once where a body does not say its length and goes on after the declared size', async () => {
    let sent = 0;
    const url = upstream.on('/a', (response) => {
      endless(response, (bytes) => (sent += bytes));
    });
    const failure = await failureOf(downloadArtifact(wanted(url, { size: 10 }), { ...context, maxRetries: 0 }));
    expect(failure.message).toContain('expected 10 bytes, found more than 10');
    expect(sent).toBeLessThan(100e6);
    await expectNothingStored();
  });

  it('may not grow without end where no size is declared', async () => {
    const url = upstream.on('/a', (response) => {
      endless(response);
    });
    const limits = { ...context.limits, maxSize: 1_000_000 };
    const failure = await failureOf(downloadArtifact(wanted(url), { ...context, limits }));
    expect(failure.message).toContain('the body is larger than the limit of 1000000 bytes (1 attempt)');
    await expectNothingStored();
    const announced = upstream.on(
      '/b',
      (response) => void response.writeHead(200, { 'content-length': 2_000_000 }).write('x'),
    );
    expect((await failureOf(downloadArtifact(wanted(announced), { ...context, limits }))).message).toContain(
      'larger than the limit',
    );
  });

  it('may not trickle', async () => {
    const url = upstream.on('/a', (response) => {
      const drip = setInterval(() => response.write('x'), 10);
      response.on('close', () => {
        clearInterval(drip);
      });
    });
    const limits = { ...context.limits, minimumRate: { bytes: 1000, milliseconds: 60 } };
    const failure = await failureOf(downloadArtifact(wanted(url), { ...context, limits, maxRetries: 1 }));
    expect(failure.message).toBe(`Could not download ${url}: the body trickled for 0.06 s (2 attempts)`);
    expect(failure.transient).toBe(true);
    await expectNothingStored();
    expect(standardLimits.minimumRate.bytes / (standardLimits.minimumRate.milliseconds / 1000)).toBe(1024);
  });
});

describe('a full disk', () => {
  it('ends the download at once, and is told as such', async () => {
    const full = {
      ...fs,
      writevSync: () => {
        throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      },
    };
    const storage = await FileStorage.open(join(context.root, 'full'), full);
    const urls = [upstream.serve('/a', body), upstream.serve('/b', body)];
    const download = downloadArtifact({ urls, digests: { sha256 } }, { ...context, storage });
    await expect(download).rejects.toBeInstanceOf(StorageFull);
    expect(upstream.seen).toHaveLength(1);
    expect(context.pool.pool.inUse).toBe(0);
  });
});
