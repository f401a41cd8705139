import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { FileUnavailable } from '../../src/content/errors';
import type { FoundFile } from '../../src/content/found-file';
import { sendFile } from '../../src/content/send-file';
import { basic } from '../../src/downloads/request-headers';
import { CrampedStorage } from '../harness/cramped-storage';
import { Upstream, sha256Of, until } from '../downloads/upstream';
import type { Answer } from '../downloads/upstream';
import { Deferring, collect, readUntilError } from './deferred';

const MIB = 1024 * 1024;
const bytes = randomBytes(2 * MIB);
const declared = { size: bytes.length, sha256: sha256Of(bytes) };

const disk = new CrampedStorage();
let deferring: Deferring;
let upstream: Upstream;

beforeAll(async () => {
  deferring = await Deferring.start(disk.open);
  upstream = await Upstream.start();
});

afterAll(async () => {
  await deferring.stop();
  await upstream.stop();
});

/** Answers only with these credentials; with ranges. */
const guarded =
  (username: string, password: string): Answer =>
  (response, { headers }) => {
    if (headers.authorization !== basic(username, password)) response.writeHead(401).end();
    else response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
  };

/** Answers ranges as a file server does. */
const ranged: Answer = (response, { headers, path }) => {
  const [, start = '', end = ''] = /bytes=(\d+)-(\d*)/.exec(headers.range ?? '') ?? [];
  const part = bytes.subarray(Number(start), end === '' ? undefined : Number(end) + 1);
  response.writeHead(headers.range ? 206 : 200, {
    etag: `"${path}"`,
    'content-length': part.length,
    ...(headers.range && { 'content-range': `bytes ${start}-${end}/${bytes.length}` }),
  });
  response.end(part);
};

it('asks the sources in turn, each with the credentials of its own remote', async () => {
  const gone = `${upstream.url}/gone`;
  const file = await deferring.add(
    { url: gone, ...declared },
    { url: upstream.on('/a', guarded('ann', 'one')), ...declared, secrets: { username: 'ann', password: 'wrong' } },
    {
      url: upstream.on('/b', guarded('bob', 'two')),
      urls: [gone, `${upstream.url}/b`],
      ...declared,
      secrets: { username: 'bob', password: 'two' },
    },
  );
  expect((await deferring.read(file)).equals(bytes)).toBe(true);
  expect(await deferring.aside(file)).toEqual([true, true, false]);
  expect(upstream.requests('/a').map(({ headers }) => headers.authorization)).toEqual([basic('ann', 'wrong')]);
  const [first] = deferring.warnings;
  expect(first).toMatchObject({ details: { remote: `${file.path} from 1` } });
});

it('says of each source why it failed, when all have, and asks none of them again before its time', async () => {
  const page = upstream.on('/page', (response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Please log in</h1>');
  });
  const file = await deferring.add({ url: `${upstream.url}/none`, ...declared }, { url: page, ...declared });
  const { sha256 } = declared;
  const failed = deferring.openFile(file);
  await expect(failed).rejects.toBeInstanceOf(FileUnavailable);
  const { reasons, retryAfter } = (await failed.catch((error: unknown) => error)) as FileUnavailable;
  expect(reasons).toHaveLength(2);
  expect(reasons[0]).toContain('the server answered 404');
  expect(reasons[1]).toContain(`expected ${bytes.length} bytes, found 22`);
  expect(retryAfter).toBe(300);
  const asked = upstream.seen.length;
  await expect(deferring.openFile(file, { start: 1, end: 2 })).rejects.toThrow('is left alone for');
  expect(upstream.seen).toHaveLength(asked);
  // Its size and digest are known all the same.
  expect(await deferring.downloads.find(file, deferring.never)).toMatchObject({ size: bytes.length, sha256 });
});

it('passes by a source whose secrets cannot be read', async () => {
  const good = upstream.serve('/plain', bytes);
  const file = await deferring.add({ url: good, ...declared, secrets: { username: 'x' } }, { url: good, ...declared });
  await deferring.sql(`update remotes set secrets = '\\x00' where name = $1`, [`${file.path} from 1`]);
  expect((await deferring.read(file)).equals(bytes)).toBe(true);
  expect(await deferring.aside(file)).toEqual([false, false]);
  expect(deferring.warnings.at(-1)?.details).toMatchObject({ error: { name: 'InvalidSetting' } });
});

it('blames no source for a full disk', async () => {
  const file = await deferring.add({ url: upstream.serve('/full', bytes.subarray(0, 1000)), size: 1000 });
  disk.full = true;
  const read = deferring.read(file);
  // It is whole and right: who waits for it gets it.
  expect((await read).equals(bytes.subarray(0, 1000))).toBe(true);
  await until(() => deferring.warnings.at(-1)?.message === 'A file could not be saved');
  disk.full = false;
  expect(await deferring.aside(file)).toEqual([false]);
  expect(await deferring.attached(file)).toBeUndefined();
});

it('passes on what the storage has no room for beside its reserve, and stores nothing', async () => {
  const file = await deferring.add({ url: upstream.serve('/crowded', bytes), ...declared });
  disk.room = { free: 60 * MIB, total: 1000 * MIB };
  expect((await deferring.read(file)).equals(bytes)).toBe(true);
  await until(async () => (await deferring.attached(file)) !== undefined);
  await deferring.sql('update content_artifacts set artifact_id = null');
  await deferring.storage.removeAll('artifact');

  const next = await deferring.add({ url: upstream.serve('/crowded', bytes), ...declared });
  disk.room = { free: 51 * MIB, total: 1000 * MIB };
  expect((await deferring.read(next)).equals(bytes)).toBe(true);
  expect((await deferring.read(next, { start: 5, end: 9 })).equals(bytes.subarray(5, 10))).toBe(true);
  expect(await deferring.files()).toEqual([]);
  disk.room = { free: 1e12, total: 1e12 };
});

it('gives up a download of no known size when nobody reads it any more, or the storage fills up', async () => {
  const url = upstream.on('/endless', async (response, { nth }) => {
    response.writeHead(200);
    // The first one asks for its size.
    if (nth === 1) response.end();
    while (!response.destroyed && !response.writableEnded) {
      response.write(bytes);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  });
  const file = await deferring.add({ url });
  const reading = (await deferring.openFile(file))[Symbol.asyncIterator]();
  await reading.next();
  await reading.return?.();
  await until(() => upstream.open === 0);
  expect(await deferring.temporaryFiles()).toEqual([]);

  const filling = await deferring.openFile(file);
  disk.room = { free: 0, total: 1e12 };
  const { error } = await readUntilError(filling);
  expect(error).toMatchObject({ name: 'StorageFull' });
  disk.room = { free: 1e12, total: 1e12 };
  expect(await deferring.aside(file)).toEqual([false]);
});

it('gives a file that cannot be noted or attached at once, and attaches it soon', async () => {
  const file = await deferring.add(
    { url: `${upstream.url}/gone`, ...declared },
    { url: upstream.serve('/g', bytes), ...declared },
  );
  await deferring.sql('alter table remote_artifacts add constraint refused check (failed_until is null) not valid');
  await deferring.sql('alter table content_artifacts add constraint refused check (artifact_id is null) not valid');
  expect((await deferring.read(file)).equals(bytes)).toBe(true);
  expect(deferring.warnings.at(-1)?.message).toBe('How a source has fared could not be noted');
  await new Promise((resolve) => setTimeout(resolve, 600));
  expect(await deferring.attached(file)).toBeUndefined();
  await deferring.sql('alter table remote_artifacts drop constraint refused');
  await deferring.sql('alter table content_artifacts drop constraint refused');
  await until(async () => (await deferring.attached(file)) === declared.sha256);
});

it('notices that a remote was changed while it runs', async () => {
  const url = upstream.on('/changed', guarded('eve', 'new'));
  const file = await deferring.add({ url, ...declared, secrets: { username: 'eve', password: 'old' } });
  await expect(deferring.read(file)).rejects.toThrow('the server answered 401');
  await deferring.sql('update remotes set secrets = $1, updated_at = clock_timestamp() where url = $2', [
    deferring.secrets.seal({ username: 'eve', password: 'new' }),
    url,
  ]);
  await deferring.sql('update remote_artifacts set failed_until = null where $1 = any (urls)', [url]);
  expect((await deferring.read(file)).equals(bytes)).toBe(true);
});

it('asks for a part alone, and stores nothing', async () => {
  const file = await deferring.add({ url: upstream.on('/part', ranged), ...declared });
  const part = await deferring.read(file, { start: 1_500_000, end: 1_900_000 });
  expect(part.equals(bytes.subarray(1_500_000, 1_900_001))).toBe(true);
  expect(upstream.requests('/part').map(({ headers }) => headers.range)).toEqual(['bytes=1500000-1900000']);
  expect(await deferring.attached(file)).toBeUndefined();
  expect(await deferring.temporaryFiles()).toEqual([]);
  // All of it is no part.
  expect((await deferring.read(file, { start: 0, end: bytes.length - 1 })).equals(bytes)).toBe(true);
  await until(async () => (await deferring.attached(file)) !== undefined);
});

it.each([
  ['another part', `bytes 11-20/${bytes.length}`],
  ['a file of another size', 'bytes 10-19/4000'],
  ['no Content-Range', undefined],
])('takes %s for a failure, and asks the next source', async (_, range) => {
  const wrong = upstream.on('/wrong', (response) => {
    response.writeHead(206, { 'content-length': 10, ...(range && { 'content-range': range }) }).end('0123456789');
  });
  const file = await deferring.add({ url: wrong, ...declared }, { url: upstream.on('/right', ranged), ...declared });
  expect((await deferring.read(file, { start: 10, end: 19 })).equals(bytes.subarray(10, 20))).toBe(true);
  expect(await deferring.aside(file)).toEqual([true, false]);
});

it('puts no rest of one source behind the beginning from another one', async () => {
  const bad = upstream.serve('/bad', Buffer.alloc(bytes.length));
  const good = upstream.on('/good', ranged);
  const file = await deferring.add(
    { url: bad, ...declared, policy: 'streamed' },
    { url: good, ...declared, policy: 'streamed' },
  );
  const other = await deferring.add({ url: good, ...declared, policy: 'streamed' });
  const files: Record<string, FoundFile> = { '/file': file, '/other': other };
  const server = createServer((request, response) => {
    const found = files[request.url ?? ''] ?? file;
    deferring.downloads
      .find(found, deferring.never)
      .then((readable) => sendFile(request, response, { ...found, guarded: false }, readable, deferring.never))
      .catch(() => response.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const ask = (path: string, headers: Record<string, string>) =>
    fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, { headers });

  const rest = { range: 'bytes=1000000-' };
  expect((await ask('/file', rest)).status).toBe(206);
  await expect((await ask('/file', {})).arrayBuffer()).rejects.toThrow();
  const resumed = await ask('/file', rest);
  expect([resumed.status, resumed.headers.get('accept-ranges')]).toEqual([200, null]);
  expect(Buffer.from(await resumed.arrayBuffer()).equals(bytes)).toBe(true);

  // Other processes may have broken off, too.
  const etag = `W/"${declared.sha256}"`;
  for (const validator of [etag, `"${declared.sha256}"`, new Date(0).toUTCString()]) {
    const answer = await ask('/other', { ...rest, 'if-range': validator });
    expect([answer.status, answer.headers.get('etag')]).toEqual([200, etag]);
    await answer.arrayBuffer();
  }
  server.close();
});

it('resumes a part that breaks', async () => {
  const url = upstream.on('/breaks', (response, request) => {
    if (request.nth > 1) return ranged(response, request);
    const headers = { etag: '"/breaks"', 'content-range': `bytes 1000000-1999999/${bytes.length}` };
    response.writeHead(206, { ...headers, 'content-length': 1_000_000 });
    response.write(bytes.subarray(1_000_000, 1_500_000), () => setTimeout(() => response.destroy(), 50));
    return undefined;
  });
  const file = await deferring.add({ url, ...declared });
  const part = await deferring.read(file, { start: 1_000_000, end: 1_999_999 });
  expect(part.equals(bytes.subarray(1_000_000, 2_000_000))).toBe(true);
  expect(upstream.requests('/breaks')[1]?.headers.range).toMatch(/^bytes=1[0-9]{6}-1999999$/);
});

it('saves the whole file where upstream gives no parts', async () => {
  const file = await deferring.add({ url: upstream.serve('/no-parts', bytes), ...declared });
  const part = await deferring.read(file, { start: 1_999_990, end: 1_999_999 });
  expect(part.equals(bytes.subarray(1_999_990, 2_000_000))).toBe(true);
  await until(async () => (await deferring.attached(file)) !== undefined);
  expect(await deferring.aside(file)).toEqual([false]);
});

it('passes on what is streamed, whole or in parts, and stores nothing', async () => {
  const before = await deferring.files();
  const policy = 'streamed';
  const file = await deferring.add({ url: upstream.on('/streamed', ranged), ...declared, policy });
  expect((await deferring.read(file)).equals(bytes)).toBe(true);
  expect((await deferring.read(file, { start: 7, end: 9 })).equals(bytes.subarray(7, 10))).toBe(true);
  const whole = await deferring.add({ url: upstream.serve('/whole-only', bytes), ...declared, policy });
  const part = await deferring.read(whole, { start: 1_999_990, end: 1_999_999 });
  expect(part.equals(bytes.subarray(1_999_990, 2_000_000))).toBe(true);
  expect(upstream.requests('/streamed')).toHaveLength(2);
  expect(await deferring.files()).toEqual(before);
  expect(await deferring.attached(file)).toBeUndefined();
});

it('gives the last bytes of a streamed file to nobody who would have a bad one', async () => {
  const wrong = Buffer.concat([bytes.subarray(0, -1), Buffer.from([(bytes.at(-1) ?? 0) ^ 1])]);
  const file = await deferring.add({ url: upstream.serve('/bad', wrong), ...declared, policy: 'streamed' });
  const { length, error } = await readUntilError(await deferring.openFile(file));
  expect(length).toBeLessThanOrEqual(bytes.length - 64 * 1024);
  expect(error).toBeInstanceOf(FileUnavailable);
  expect(await deferring.aside(file)).toEqual([true]);
});

it('holds a streamed file back at its reader, and lets it go with the reader', async () => {
  const large = Buffer.alloc(64 * MIB);
  const file = await deferring.add({
    url: upstream.serve('/large', large),
    size: large.length,
    sha256: sha256Of(large),
    policy: 'streamed',
  });
  const before = process.memoryUsage().arrayBuffers;
  const reading = (await deferring.openFile(file))[Symbol.asyncIterator]();
  await reading.next();
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * MIB);
  await reading.return?.();
  await until(() => upstream.open === 0);
  expect(await deferring.aside(file)).toEqual([false]);
});

it('gives the slot of a reader that stands still to others, and does not blame upstream for what breaks meanwhile', async () => {
  const large = randomBytes(8 * MIB);
  const sent: ServerResponse[] = [];
  const url = upstream.on('/stands', (response) => {
    sent.push(response.writeHead(200, { 'content-length': large.length }));
    response.write(large.subarray(0, 4 * MIB));
  });
  const file = await deferring.add({ url, size: large.length, sha256: sha256Of(large), policy: 'streamed' });
  const small = await deferring.add({ url: upstream.serve('/beside', 'small'), size: 5 });
  await deferring.sql(
    `with remote as (update remotes set download_concurrency = 1 where name = $1 returning id)
     update remote_artifacts set remote_id = remote.id from remote where content_artifact_id = $2`,
    [`${file.path} from 1`, small.contentArtifactId],
  );
  const reading = (await deferring.openFile(file))[Symbol.asyncIterator]();
  await reading.next();
  expect((await deferring.read(small, undefined, AbortSignal.timeout(5_000))).toString()).toBe('small');

  for (const response of sent) response.destroy();
  const { error } = await readUntilError({ [Symbol.asyncIterator]: () => reading });
  expect(error).toMatchObject({ name: 'ReaderTooSlow' });
  expect(await deferring.aside(file)).toEqual([false]);
});

it('asks for a size that nobody declared, once for all, and serves what it cannot know to its end', async () => {
  const url = upstream.on('/size', (response) => {
    response.writeHead(200, { 'content-length': 1000 }).end(bytes.subarray(0, 1000));
  });
  const file = await deferring.add({ url });
  const found = await Promise.all([1, 2, 3].map(() => deferring.downloads.find(file, deferring.never)));
  expect(found.map(({ size, sha256 }) => ({ size, sha256 }))).toEqual(Array(3).fill({ size: 1000, sha256: undefined }));
  expect(upstream.requests('/size')).toHaveLength(1);
  expect((await deferring.read(file)).equals(bytes.subarray(0, 1000))).toBe(true);

  const chunked = await deferring.add({ url: upstream.on('/chunked', (response) => void response.end(bytes)) });
  const unknown = await deferring.downloads.find(chunked, deferring.never);
  expect(unknown.size).toBeUndefined();
  expect((await collect(await unknown.open(undefined, deferring.never))).equals(bytes)).toBe(true);
  await until(async () => (await deferring.attached(chunked)) === declared.sha256);
});

it('takes no source for one that has a file which it says it has not, and leaves it alone for nobody else', async () => {
  const file = await deferring.add({ url: `${upstream.url}/nowhere` });
  const asked = deferring.downloads.find(file, deferring.never);
  await expect(asked).rejects.toThrow('the server answered 404');
  await expect(asked).rejects.toBeInstanceOf(FileUnavailable);
  expect(await deferring.aside(file)).toEqual([false]);
  const later = await deferring.add({ url: `${upstream.url}/nowhere` }, { url: upstream.serve('/there', 'there') });
  expect(await deferring.downloads.find(later, deferring.never)).toMatchObject({ size: 5 });
});

it('waits for nobody who says nothing', async () => {
  const url = upstream.on('/silent', () => undefined);
  const file = await deferring.add({ url, ...declared, readTimeout: 0.1, maxRetries: 0 });
  await expect(deferring.read(file)).rejects.toThrow('nothing was received for 0.1 s');
  const impatient = AbortSignal.timeout(50);
  const other = await deferring.add({ url, ...declared, policy: 'streamed' });
  await expect(deferring.read(other, undefined, impatient)).rejects.toMatchObject({ name: 'TimeoutError' });
  expect(await deferring.aside(other)).toEqual([false]);
});
