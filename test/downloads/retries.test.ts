import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';

import { downloadArtifact } from '../../src/downloads/download-artifact';
import { failureOf, remoteOf, setUp, type SetUp } from './set-up';
import { Upstream, sha256Of, until, type Answer, type SeenRequest } from './upstream';

const body = Buffer.alloc(900_000, 'many different bytes, so that a shift shows ').map((byte, at) => byte ^ (at >> 10));
const sha256 = sha256Of(Buffer.from(body));

let upstream: Upstream;
let context: SetUp;

beforeEach(async () => {
  upstream = await Upstream.start();
  context = await setUp(remoteOf(upstream.url, { downloadConcurrency: 1 }));
});
afterEach(async () => {
  await context.tearDown();
  await upstream.stop();
});

const download = (url: string, more: Partial<SetUp> = {}) =>
  downloadArtifact({ urls: [url], digests: { sha256 }, size: body.length }, { ...context, ...more });

const small = (url: string, more: Partial<SetUp> = {}) =>
  downloadArtifact({ urls: [url], digests: {} }, { ...context, ...more });

/** Refuses the first requests with a status, then answers. */
const refusing =
  (times: number, status: number, headers: Record<string, string>): Answer =>
  (response, { nth }) => {
    if (nth <= times) response.writeHead(status, headers).end();
    else response.end('here');
  };

describe('Retry-After', () => {
  it.each([
    ['seconds', () => '1'],
    ['a date', () => new Date(Date.now() + 2000).toUTCString()],
  ])('in %s is honoured, told to who looks, and the slot is free meanwhile', async (_form, retryAfter) => {
    const url = upstream.on('/busy', refusing(1, 429, { 'retry-after': retryAfter() }));
    const busy = small(url);
    await until(() => context.waits.length > 0);
    expect(context.pool.pool.inUse).toBe(0);
    await small(upstream.serve('/other', 'at once'));
    expect(upstream.requests('/busy')).toHaveLength(1);

    await busy;
    const [first, second] = upstream.requests('/busy');
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(900);
    expect(context.waits).toEqual([{ url, reason: 'the server answered 429', until: expect.any(Date) }]);
  });

  it('is honoured up to a limit', async () => {
    const url = upstream.on('/busy', refusing(1, 503, { 'retry-after': '86400' }));
    await small(url, { limits: { ...context.limits, maxRetryAfter: 30 } });
    expect(upstream.seen).toHaveLength(2);
  });

  it('of a host that refuses everyone costs no attempt of those that have not begun', async () => {
    const until429 = performance.now() + 1000;
    const answer: Answer = (response) => {
      if (performance.now() < until429) response.writeHead(429, { 'retry-after': '1' }).end();
      else response.end('here');
    };
    const urls = Array.from({ length: 20 }, (_, i) => upstream.on(`/${i}`, answer));
    await Promise.all(urls.map((url) => small(url)));
    expect(upstream.seen.filter(({ at }) => at < until429)).toHaveLength(3);
    expect(context.waits.at(-1)?.reason).toMatch(/answers 429 to everything$/);
  });
});

describe('a retry', () => {
  it('waits longer each time, at random, and gives up after maxRetries', async () => {
    const url = upstream.on('/a', refusing(9, 500, {}));
    const began = Date.now();
    const limits = { ...context.limits, backoff: { first: 20, most: 40 } };
    const failure = await failureOf(small(url, { limits, maxRetries: 5 }));
    expect(failure.failures[0].attempts).toBe(6);
    expect(context.waits).toHaveLength(5);
    expect(Date.now() - began).toBeLessThan(5 * 40 + 2000);
  });

  it('counts against the rate limit like any other request', async () => {
    const slow = await setUp(remoteOf(upstream.url, { rateLimit: 20 }));
    const url = upstream.on('/a', refusing(4, 500, {}));
    await downloadArtifact({ urls: [url], digests: {} }, { ...slow, maxRetries: 4 });
    const spent = (upstream.seen.at(-1)?.at ?? 0) - (upstream.seen[0]?.at ?? 0);
    // Five requests at 20 a second, the burst of two less.
    expect(spent).toBeGreaterThan(130);
    await slow.tearDown();
  });

  it('follows a connection that breaks before the answer', async () => {
    const url = upstream.on('/a', (response, { nth }) => {
      if (nth < 3) response.destroy();
      else response.end('here');
    });
    await small(url);
    expect(upstream.seen).toHaveLength(3);
  });
});

describe('a body that breaks', () => {
  const validators = {
    'a strong ETag': [{ etag: '"v1"' }, '"v1"'],
    'a Last-Modified': [{ 'last-modified': 'Mon, 01 Jan 2024 12:00:00 GMT' }, 'Mon, 01 Jan 2024 12:00:00 GMT'],
  } as const;

  /** Sends what was asked for, but breaks off after so many bytes of it. */
  function send(
    response: ServerResponse,
    request: SeenRequest,
    headers: Record<string, string>,
    breakAfter = Infinity,
  ): void {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const rest = Buffer.from(body.subarray(start));
    const range = { 'content-range': `bytes ${start}-${body.length - 1}/${body.length}` };
    response.writeHead(start > 0 ? 206 : 200, {
      'content-length': rest.length,
      ...headers,
      ...(start > 0 ? range : {}),
    });
    if (breakAfter >= rest.length) response.end(rest);
    else response.write(rest.subarray(0, breakAfter), () => setTimeout(() => response.destroy(), 20));
  }

  it.each(Object.entries(validators))('goes on where it stopped, by %s', async (_name, [headers, ifRange]) => {
    const url = upstream.on('/a', (response, request) => {
      send(response, request, headers, request.nth < 3 ? 300_000 : Infinity);
    });
    let bytes = 0;
    expect(await download(url, { onBytes: (more) => (bytes += more) })).toMatchObject({ sha256, size: body.length });
    const [first, second, third] = upstream.seen.map(({ headers: sent }) => sent);
    expect(first).not.toHaveProperty('range');
    expect(second).toMatchObject({ range: 'bytes=300000-', 'if-range': ifRange });
    expect(third).toMatchObject({ range: 'bytes=600000-', 'if-range': ifRange });
    expect(bytes).toBe(body.length);
    expect(await context.temporaryFiles()).toEqual([]);
  });

  it('keeps no slot while it waits', async () => {
    const url = upstream.on('/a', (response, request) => {
      send(response, request, { etag: '"v1"' }, request.nth === 1 ? 300_000 : Infinity);
    });
    const waiting = download(url, { limits: { ...context.limits, backoff: { first: 400, most: 400 } } });
    await until(() => context.waits.length > 0);
    expect(context.pool.pool.inUse).toBe(0);
    await waiting;
  });

  it.each([
    ['has a weak ETag only', { etag: 'W/"v1"' }],
    ['has nothing to recognise it by', {}],
  ])('begins again where it %s', async (_why, headers) => {
    const url = upstream.on('/a', (response, request) => {
      send(response, request, headers, request.nth === 1 ? 300_000 : Infinity);
    });
    await download(url);
    expect(upstream.seen.map(({ headers: sent }) => sent.range)).toEqual([undefined, undefined]);
  });

  it.each<[string, Answer, number]>([
    [
      'answers 200',
      (response, request) => {
        send(response, { ...request, headers: {} }, { etag: '"v2"' });
      },
      2,
    ],
    [
      'answers 416',
      (response) => {
        response.writeHead(416).end();
      },
      3,
    ],
    [
      'answers 412',
      (response) => {
        response.writeHead(412).end();
      },
      3,
    ],
    [
      'goes on with another file',
      (response, request) => {
        send(response, request, { etag: '"v2"' });
      },
      3,
    ],
    [
      'goes on from elsewhere',
      (response) => {
        response.writeHead(206, { 'content-range': 'bytes 5-9/900000', etag: '"v1"' }).end('where');
      },
      3,
    ],
  ])('begins again where the server %s', async (_what, second, requests) => {
    const url = upstream.on('/a', (response, request) => {
      if (request.nth === 2) return second(response, request);
      send(response, request, { etag: '"v1"' }, request.nth === 1 ? 300_000 : Infinity);
    });
    expect(await download(url)).toMatchObject({ sha256 });
    expect(upstream.seen).toHaveLength(requests);
    expect(upstream.seen[1]?.headers).toHaveProperty('range');
    expect(await context.temporaryFiles()).toEqual([]);
  });

  it('begins again at the next url', async () => {
    const broken = upstream.on('/a', (response, request) => {
      if (request.nth > 1) response.writeHead(404).end();
      else send(response, request, { etag: '"v1"' }, 300_000);
    });
    const good = upstream.on('/b', (response, request) => {
      send(response, request, { etag: '"v1"' });
    });
    const done = await downloadArtifact({ urls: [broken, good], digests: { sha256 } }, context);
    expect(done.url).toBe(good);
    expect(upstream.requests('/b')[0]?.headers).not.toHaveProperty('range');
  });

  it('leaves nothing when it is given up', async () => {
    const url = upstream.on('/a', (response, request) => {
      send(response, request, { etag: '"v1"' }, 300_000 - request.nth * 50_000);
    });
    const failure = await failureOf(download(url, { maxRetries: 1 }));
    expect(failure.message).toMatch(/the connection was closed before the end \(2 attempts\)|reset \(2 attempts\)/);
    expect(failure.transient).toBe(true);
    expect(await context.temporaryFiles()).toEqual([]);
  });
});
