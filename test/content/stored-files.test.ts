import { randomBytes } from 'node:crypto';
import { unlink } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { PoolClient } from 'pg';
import { pino } from 'pino';

import { FileUnavailable } from '../../src/content/errors';
import type { ByteRange, FoundFile } from '../../src/content/found-file';
import { sha256 } from '../harness/file-repository';
import { eventually } from '../harness/penstock';
import { testSeed } from '../harness/seed';
import { ContentHouse, ask } from './content-house';
import type { Reply, Served } from './content-house';

const small = randomBytes(5000);
// Of several chunks, the last of which is not full.
const large = randomBytes(2_000_000);
let house: ContentHouse;
let app: Served;

beforeAll(async () => {
  house = await ContentHouse.open();
  await house.addRepository('files');
  await house.addVersion('files', {
    'small.bin': small,
    'large.bin': large,
    'empty.txt': '',
    'page.html': '<script>alert(1)</script>',
    'list.tar.gz': 'packed',
    Release: 'release',
    'häuser/a b+c%.txt': 'odd',
    'later.bin': null,
    'lost.bin': 'lost',
  });
  await house.distribute('files', 'files');
  app = await house.serve();
});
afterAll(() => house.close());

const get = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Reply> =>
  ask(app.url, `/pulp/content/files/${path}`, { headers, method });

describe('a stored file', () => {
  it.each([
    ['small.bin', small],
    ['large.bin', large],
    ['empty.txt', Buffer.alloc(0)],
  ])('is sent whole: %s', async (path, body) => {
    const reply = await get(path);
    expect(reply.status).toBe(200);
    expect(reply.body.equals(body)).toBe(true);
    expect(reply.headers).toMatchObject({
      'content-length': String(body.length),
      etag: `"${sha256(body)}"`,
      'accept-ranges': 'bytes',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-cache',
    });
    expect(Date.parse(reply.headers['last-modified'] ?? '')).toBeLessThanOrEqual(Date.now());
  });

  it.each([
    ['small.bin', 'application/octet-stream'],
    ['Release', 'application/octet-stream'],
    ['empty.txt', 'text/plain; charset=utf-8'],
    ['list.tar.gz', 'application/gzip'],
    ['h%C3%A4user/a%20b+c%25.txt', 'text/plain; charset=utf-8'],
  ])('has a type: %s is %s', async (path, type) => {
    const { headers } = await get(path);
    expect(headers['content-type']).toBe(type);
    expect(headers['content-encoding']).toBeUndefined();
  });

  it('cannot attack where it is a page', async () => {
    const { headers } = await get('page.html');
    expect(headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'content-security-policy': 'sandbox' });
  });

  it.each(['small.bin', 'large.bin', 'empty.txt', '', 'nothing'])(
    'has the same headers for HEAD as for GET: "%s"',
    async (path) => {
      const [got, asked] = [await get(path), await get(path, {}, 'HEAD')];
      const withoutDate = (headers: Reply['headers']) => ({ ...headers, date: undefined });
      expect(asked.status).toBe(got.status);
      expect(withoutDate(asked.headers)).toEqual(withoutDate(got.headers));
      expect(asked.body).toHaveLength(0);
    },
  );
});

describe('a condition', () => {
  const etag = `"${sha256(small)}"`;
  let lastModified = '';
  beforeAll(async () => {
    lastModified = (await get('small.bin')).headers['last-modified'] ?? '';
  });

  it('spares the bytes of what the client has', async () => {
    for (const headers of [
      { 'if-none-match': etag },
      { 'if-none-match': `"other", W/${etag}` },
      { 'if-none-match': '*' },
      { 'if-modified-since': lastModified },
    ]) {
      const reply = await get('small.bin', headers);
      expect([headers, reply.status, reply.body.length]).toEqual([headers, 304, 0]);
      expect(reply.headers).toMatchObject({ etag, 'last-modified': lastModified });
    }
  });

  it('does not take another file for that of the client, be it a newer one', async () => {
    const later = new Date(Date.parse(lastModified) + 60_000).toUTCString();
    for (const headers of [
      { 'if-none-match': '"other"' },
      { 'if-none-match': '"other"', 'if-modified-since': lastModified },
      { 'if-modified-since': later },
      { 'if-modified-since': 'yesterday' },
    ] as Record<string, string>[]) {
      expect([headers, (await get('small.bin', headers)).status]).toEqual([headers, 200]);
    }
  });

  it('is refused where it does not hold', async () => {
    const earlier = new Date(Date.parse(lastModified) - 60_000).toUTCString();
    expect((await get('small.bin', { 'if-match': '"other"' })).status).toBe(412);
    expect((await get('small.bin', { 'if-match': `"other", ${etag}` })).status).toBe(200);
    expect((await get('small.bin', { 'if-match': '*' })).status).toBe(200);
    expect((await get('small.bin', { 'if-unmodified-since': earlier })).status).toBe(412);
    expect((await get('small.bin', { 'if-unmodified-since': lastModified })).status).toBe(200);
  });

  it('lets a range be continued only of the same file', async () => {
    const range = 'bytes=10-19';
    for (const [condition, status] of [
      [etag, 206],
      [lastModified, 206],
      [`W/${etag}`, 200],
      ['"other"', 200],
      [new Date(0).toUTCString(), 200],
    ] as const) {
      const reply = await get('small.bin', { range, 'if-range': condition });
      expect([condition, reply.status]).toEqual([condition, status]);
      expect(reply.body.equals(status === 206 ? small.subarray(10, 20) : small)).toBe(true);
    }
  });
});

describe('ranges', () => {
  it.each([
    ['small.bin', small],
    ['large.bin', large],
  ])('are the same bytes as a slice of %s', async (path, whole) => {
    const position = fc.integer({ min: 0, max: whole.length + 10 });
    const spec = fc.oneof(
      fc.tuple(position, position).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
      position.map((from) => `${from}-`),
      position.map((last) => `-${last}`),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(spec, { minLength: 1, maxLength: 5 }), async (specs) => {
        const reply = await get(path, { range: `bytes=${specs.join(',')}` });
        const wanted = new Set<number>();
        for (const each of specs) for (const [from, to] of boundsOf(each, whole.length)) wanted.add(from * 1e7 + to);
        if (wanted.size === 0) {
          expect(reply.status).toBe(416);
          expect(reply.headers['content-range']).toBe(`bytes */${whole.length}`);
          return;
        }
        expect(reply.status).toBe(206);
        expect(Number(reply.headers['content-length'])).toBe(reply.body.length);
        const parts = partsOf(reply);
        for (const { start, end, body } of parts) expect(body.equals(whole.subarray(start, end + 1))).toBe(true);
        for (const both of wanted) {
          const [from, to] = [Math.floor(both / 1e7), both % 1e7];
          expect(parts.some(({ start, end }) => start <= from && to <= end)).toBe(true);
        }
        for (const one of parts) {
          for (const other of parts)
            if (one !== other) expect(one.end < other.start || other.end < one.start).toBe(true);
        }
      }),
      { seed: testSeed(), numRuns: 60 },
    );
  });

  it.each([
    'bytes=',
    'bytes=a-b',
    'bytes=5',
    'lines=1-2',
    `bytes=${Array.from({ length: 300 }, (_, index) => `${index * 3}-${index * 3}`).join(',')}`,
  ])('that are none, or absurdly many, are ignored: %.40s', async (range) => {
    const reply = await get('small.bin', { range });
    expect(reply.status).toBe(200);
    expect(reply.body.equals(small)).toBe(true);
  });

  it.each(['bytes=5000-', 'bytes=-0', 'bytes=9-8', `bytes=${'9'.repeat(400)}-`])(
    'that the file does not have are refused: %.30s',
    async (range) => {
      expect((await get('small.bin', { range })).status).toBe(416);
    },
  );

  it('of an empty file are refused', async () => {
    expect((await get('empty.txt', { range: 'bytes=0-0' })).status).toBe(416);
  });
});

describe('a file that is not there', () => {
  it('is 502 with the time of the next try where no source has it', async () => {
    const { status, headers, body } = await get('later.bin');
    expect([status, headers['retry-after']]).toEqual([502, '17']);
    expect(body.toString()).toBe('The file can be had from no source now.\n');
  });

  it('is had from no source for a client that left while it was looked up', async () => {
    const asked: string[] = [];
    const find = ({ path }: FoundFile) => {
      asked.push(path);
      return Promise.reject(new FileUnavailable(path, ['nobody has it']));
    };
    const lookedUp = await house.serve({ deferred: { find } });
    const lock = await house.pool.connect();
    try {
      await lock.query('begin; lock table distributions');
      const request = httpRequest(`${lookedUp.url}/pulp/content/files/later.bin`).on('error', () => undefined);
      request.end();
      await eventually('the look-up', () => isWaiting(lock));
      request.destroy();
      // The server sees it before the answer to another request.
      await ask(lookedUp.url, '/');
    } finally {
      await lock.query('rollback');
      lock.release();
    }
    expect((await ask(lookedUp.url, '/pulp/content/files/later.bin')).status).toBe(502);
    expect(asked).toHaveLength(1);
  });

  it('is read once for several ranges: as a whole', async () => {
    const opened: (ByteRange | undefined)[] = [];
    const open = (range: ByteRange | undefined) => {
      opened.push(range);
      return Promise.resolve(Readable.from([range ? small.subarray(range.start, range.end + 1) : small]));
    };
    const find = () => Promise.resolve({ size: small.length, sha256: sha256(small), open });
    const { url } = await house.serve({ deferred: { find } });
    const later = (range: string) => ask(url, '/pulp/content/files/later.bin', { headers: { range } });
    const whole = await later('bytes=0-0,10-10,20-20');
    expect([whole.status, whole.headers['content-range']]).toEqual([200, undefined]);
    expect(whole.body.equals(small)).toBe(true);
    const part = await later('bytes=5-10,8-12');
    expect([part.status, part.headers['content-range']]).toEqual([206, `bytes 5-12/${small.length}`]);
    expect(opened).toEqual([undefined, { start: 5, end: 12 }]);
  });

  it('is had from its sources where it should be stored, and is not remembered', async () => {
    const key = await house.store('lost');
    expect((await get('lost.bin')).status).toBe(200);
    await unlink(join(house.storage.root, key));
    expect((await get('lost.bin')).status).toBe(502);
    await house.store('lost');
    expect((await get('lost.bin')).body.toString()).toBe('lost');
  });
});

async function isWaiting(client: PoolClient): Promise<boolean> {
  const { rows } = await client.query<{ waiting: boolean }>(
    `select exists (select from pg_locks where relation = 'distributions'::regclass and not granted) as waiting`,
  );
  return rows[0]?.waiting === true;
}

describe('a storage that cannot be read', () => {
  const fault = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
  const storage = {
    ...{ sizeOf: () => Promise.reject(fault), readAll: () => Promise.reject(fault) },
    read: () => Readable.from([]).destroy(fault),
  };

  it.each(['small.bin', 'large.bin'])('is no reason to fetch a stored file: %s', async (path) => {
    const lines: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line) => lines.push(line) });
    const broken = await house.serve({ storage, logger });
    const reply = await ask(broken.url, `/pulp/content/files/${path}?token=secret`);
    expect([reply.status, reply.headers['retry-after']]).toEqual([503, '5']);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`"path":"/pulp/content/files/${path}"`);
  });
});

/** The bounds of a range, inclusive, where the file has it. */
function boundsOf(spec: string, size: number): readonly (readonly [number, number])[] {
  const [first = '', last = ''] = spec.split('-');
  const [from, to] =
    first === ''
      ? [Math.max(size - Number(last), 0), size - 1]
      : [Number(first), last === '' ? size - 1 : Number(last)];
  const end = Math.min(to, size - 1);
  return from > end ? [] : [[from, end]];
}

interface Part {
  readonly start: number;
  readonly end: number;
  readonly body: Buffer;
}

function partsOf({ headers, body }: Reply): Part[] {
  const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(headers['content-type'] ?? '')?.[1];
  if (boundary === undefined) return [{ ...boundsIn(headers['content-range']), body }];
  const parts: Part[] = [];
  let at = 0;
  while (!body.subarray(at).equals(Buffer.from(`\r\n--${boundary}--\r\n`))) {
    const begin = body.indexOf('\r\n\r\n', at) + 4;
    const heading = body.subarray(at, begin).toString();
    expect(heading.startsWith(`\r\n--${boundary}\r\nContent-Type: `)).toBe(true);
    const { start, end } = boundsIn(/Content-Range: (.*)\r/.exec(heading)?.[1]);
    at = begin + end - start + 1;
    parts.push({ start, end, body: body.subarray(begin, at) });
  }
  return parts;
}

function boundsIn(header: string | undefined): { start: number; end: number } {
  const [, start, end] = /^bytes (\d+)-(\d+)\/\d+$/.exec(header ?? '') ?? [];
  return { start: Number(start), end: Number(end) };
}
