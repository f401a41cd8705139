import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';

import { downloadArtifact, type WantedArtifact } from '../../src/downloads/download-artifact';
import { DigestMismatch, SizeMismatch, UnexpectedStatus } from '../../src/downloads/download-error';
import { standardLimits } from '../../src/downloads/retries';
import { FileStorage } from '../../src/storage/file-storage';
import { StorageFull } from '../../src/storage/storage-full';
import { artifactKey } from '../../src/storage/storage';
import { failureOf, remoteOf, setUp, type SetUp } from './set-up';
import { Upstream, sha256Of, until } from './upstream';

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

describe('several urls', () => {
  it('are tried in turn, each with its own retries', async () => {
    const missing = `${upstream.url}/missing`;
    const broken = upstream.on('/broken', (response) => {
      response.writeHead(503).end();
    });
    const good = upstream.serve('/good', body);
    const done = await downloadArtifact({ urls: [missing, broken, good], digests: { sha256 } }, context);
    expect(done.url).toBe(good);
    expect(upstream.seen.map(({ path }) => path)).toEqual([
      '/missing',
      '/broken',
      '/broken',
      '/broken',
      '/broken',
      '/good',
    ]);
  });

  it('that all fail are listed, each with its reason and attempts', async () => {
    const missing = `${upstream.url}/missing`;
    const broken = upstream.on('/broken', (response) => {
      response.writeHead(503).end();
    });
    const urls = [missing, broken, 'http://user:secret@host/a', 'ftp://host/a', 'file:///etc/passwd'];
    const failure = await failureOf(downloadArtifact({ urls, digests: { sha256 } }, context));
    expect(failure.message.split('\n')).toEqual([
      'Could not download from any of 5 urls:',
      `  ${missing}: the server answered 404 (1 attempt)`,
      `  ${broken}: the server answered 503 (4 attempts)`,
      '  http://host/a: the url is refused, since it has credentials inside; expected username and password as fields of the remote (1 attempt)',
      '  ftp://host/a: the url is refused, since its scheme is ftp; expected http, https or file (1 attempt)',
      expect.stringMatching(
        /^ {2}file:\/\/\/etc\/passwd: the url is refused, since it is not, .* PENSTOCK_ALLOWED_FILE_PATHS \(none\)/,
      ),
    ]);
    expect(failure.details.failures).toMatchObject([
      { url: missing, type: 'UnexpectedStatus', status: 404, attempts: 1 },
      { url: broken, type: 'UnexpectedStatus', status: 503, attempts: 4 },
      { type: 'RefusedUrl' },
      { type: 'RefusedUrl' },
      { type: 'RefusedUrl' },
    ]);
    expect(JSON.stringify(failure.details)).not.toContain('secret');
    expect(failure.transient).toBe(true);
  });

  it.each([
    [404, 1, false],
    [401, 1, false],
    [410, 1, false],
    [429, 3, true],
    [500, 3, true],
    [503, 3, true],
  ])('answering %d are asked %d times with two retries', async (status, attempts, transient) => {
    const url = upstream.on('/a', (response) => {
      response.writeHead(status).end('no');
    });
    const failure = await failureOf(downloadArtifact(wanted(url), { ...context, maxRetries: 2 }));
    expect(failure).toMatchObject({ transient, failures: [{ attempts, error: { status } }] });
    expect(failure.failures[0].error).toBeInstanceOf(UnexpectedStatus);
    expect(upstream.seen).toHaveLength(attempts);
  });

  it('at another origin that wants credentials say that they were not sent', async () => {
    const other = await Upstream.start();
    const url = other.on('/a', (response) => {
      response.writeHead(401).end();
    });
    const guarded = await setUp(remoteOf(upstream.url, { username: 'alice', password: 'secret' }));
    const failure = await failureOf(downloadArtifact(wanted(url), guarded));
    expect(failure.message).toMatch(/answered 401; the remote's credentials were not sent, as this is another origin/);
    await guarded.tearDown();
    await other.stop();
  });
});

describe('many downloads', () => {
  it('never make more requests at once than there are slots', async () => {
    const few = await setUp(remoteOf(upstream.url, { downloadConcurrency: 3 }));
    const urls = Array.from({ length: 30 }, (_, i) =>
      upstream.on(`/${i}`, async (response) => {
        await until(() => true);
        setTimeout(() => response.end(String(i)), 3);
      }),
    );
    await Promise.all(urls.map((url) => downloadArtifact({ urls: [url], digests: {} }, few)));
    expect(upstream.mostOpen).toBe(3);
    expect(few.pool.inUse).toBe(0);
    await few.tearDown();
  });

  it('of the same file at once are one', async () => {
    const first = upstream.serve('/a', body);
    const second = upstream.serve('/b', body);
    const done = await Promise.all([first, second, first].map((url) => downloadArtifact(wanted(url), context)));
    expect(done.map(({ url }) => url)).toEqual([first, first, first]);
    expect(upstream.seen).toHaveLength(1);
  });

  it('of the same file go on their own where the first one fails, or declares less', async () => {
    const good = upstream.serve('/good', body);
    const [failed, other] = await Promise.allSettled([
      downloadArtifact(wanted(`${upstream.url}/missing`), context),
      downloadArtifact(wanted(good), context),
    ]);
    expect(failed.status).toBe('rejected');
    expect(other).toMatchObject({ status: 'fulfilled', value: { url: good } });

    const [right, wrong] = await Promise.allSettled([
      downloadArtifact(wanted(good), context),
      downloadArtifact(wanted(good, { size: 5 }), { ...context, maxRetries: 0 }),
    ]);
    expect([right.status, wrong.status]).toEqual(['fulfilled', 'rejected']);
  });
});

describe('an aborted signal', () => {
  it('ends downloads that run, wait for a slot, or wait for a retry, and leaves nothing', async () => {
    const few = await setUp(remoteOf(upstream.url, { downloadConcurrency: 2 }));
    const half = Buffer.alloc(400_000);
    const running = ['/a', '/b'].map((path) =>
      upstream.on(path, (response) => void response.writeHead(200).write(half)),
    );
    const refusing = upstream.on('/c', (response) => {
      response.writeHead(503, { 'retry-after': '60' }).end();
    });
    const abort = new AbortController();
    const downloads: Promise<unknown>[] = [];
    const begin = (url: string) =>
      downloads.push(downloadArtifact({ urls: [url], digests: {} }, { ...few, signal: abort.signal }));

    begin(refusing);
    await until(() => few.waits.length > 0);
    for (const url of [...running, `${upstream.url}/d`]) begin(url);
    await until(async () => (await few.temporaryFiles()).length === 2);

    const began = performance.now();
    const reason = new Error('cancelled');
    abort.abort(reason);
    const results = await Promise.allSettled(downloads);
    expect(results).toEqual(results.map(() => ({ status: 'rejected', reason })));
    expect(performance.now() - began).toBeLessThan(1000);
    expect(await few.temporaryFiles()).toEqual([]);
    expect(few.pool).toMatchObject({ inUse: 0, waiting: 0 });
    await until(() => upstream.open === 0);
    expect(upstream.requests('/d')).toEqual([]);
    await few.tearDown();
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
    expect(context.pool.inUse).toBe(0);
  });
});
