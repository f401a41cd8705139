import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { downloadArtifact, type WantedArtifact } from '../../src/downloads/download-artifact';
import { UnexpectedStatus } from '../../src/downloads/download-error';
import { failureOf, remoteOf, setUp, type SetUp } from './set-up';
import { Upstream, sha256Of, until } from './upstream';

const body = 'the bytes of a package';
const sha256 = sha256Of(body);

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
        /^ {2}file:\/\/\/etc\/passwd: the url is refused, since it names a local file, and the remote's own url does not/,
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
    expect(few.pool.pool.inUse).toBe(0);
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
    expect(few.pool.pool.inUse).toBe(0);
    expect(few.pool.waiting.size).toBe(0);
    await until(() => upstream.open === 0);
    expect(upstream.requests('/d')).toEqual([]);
    await few.tearDown();
  });
});
