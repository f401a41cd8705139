import { randomBytes } from 'node:crypto';

import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';

import { FileUnavailable } from '../../src/content/errors';
import type { FoundFile } from '../../src/content/found-file';
import { artifactKey } from '../../src/storage/storage';
import { Upstream, sha256Of, until } from '../downloads/upstream';
import type { Answer } from '../downloads/upstream';
import { Deferring, collect, readUntilError } from './deferred';

const MIB = 1024 * 1024;

let deferring: Deferring;
let upstream: Upstream;

beforeAll(async () => {
  deferring = await Deferring.start();
  upstream = await Upstream.start();
});

afterEach(async () => {
  await until(async () => (await deferring.temporaryFiles()).length === 0);
});

afterAll(async () => {
  await deferring.stop();
  await upstream.stop();
});

let count = 0;

/** A file of random bytes, declared as it is, that upstream answers as told. */
async function serve(bytes: Buffer, answer?: Answer): Promise<{ file: FoundFile; path: string; sha256: string }> {
  count += 1;
  const path = `/${count}`;
  const sha256 = sha256Of(bytes);
  const url = answer ? upstream.on(path, answer) : upstream.serve(path, bytes, { etag: `"${count}"` });
  return { file: await deferring.add({ url, size: bytes.length, sha256 }), path, sha256 };
}

/** Sends the first half, and the rest when told. */
function inHalves(bytes: Buffer): { answer: Answer; goOn: () => void } {
  let goOn = (): void => undefined;
  const told = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const answer: Answer = async (response) => {
    response.writeHead(200, { 'content-length': bytes.length });
    response.write(bytes.subarray(0, bytes.length / 2));
    await told;
    response.end(bytes.subarray(bytes.length / 2));
  };
  return {
    answer,
    goOn: () => {
      goOn();
    },
  };
}

const saved = (file: FoundFile) => until(async () => (await deferring.attached(file)) !== undefined);

it('serves a file while it saves it, and then has it', async () => {
  const bytes = randomBytes(3 * MIB + 17);
  const { file, path, sha256 } = await serve(bytes);
  const found = await deferring.downloads.find(file, deferring.never);
  expect(found).toMatchObject({ size: bytes.length, sha256 });
  expect(upstream.requests(path)).toHaveLength(0);
  const read = await collect(await found.open(undefined, deferring.never));
  expect(read.equals(bytes)).toBe(true);
  await saved(file);
  expect(await deferring.attached(file)).toBe(sha256);
  expect(await deferring.storage.sizeOf(artifactKey(sha256))).toBe(bytes.length);
  // Who looked the file up before it was stored does not fetch it again.
  expect((await deferring.read(file)).equals(bytes)).toBe(true);
  expect((await deferring.read(file, { start: 5, end: 9 })).equals(bytes.subarray(5, 10))).toBe(true);
  expect(upstream.requests(path)).toHaveLength(1);
});

it('asks upstream once for a thousand readers, and holds little for them', async () => {
  const bytes = randomBytes(4 * MIB);
  const { answer, goOn } = inHalves(bytes);
  const { file, path } = await serve(bytes, answer);
  const before = process.memoryUsage.rss();
  let most = 0;
  const read = async () => {
    let position = 0;
    for await (const piece of await deferring.openFile(file)) {
      if (!bytes.subarray(position, position + piece.byteLength).equals(piece)) throw new Error(`Wrong at ${position}`);
      position += piece.byteLength;
    }
    most = Math.max(most, process.memoryUsage.rss() - before);
    return position;
  };
  const readers = Array.from({ length: 1000 }, read);
  await until(() => upstream.requests(path).length > 0);
  goOn();
  expect(new Set(await Promise.all(readers))).toEqual(new Set([bytes.length]));
  expect(upstream.requests(path)).toHaveLength(1);
  // A copy for each of them would be 4 GB; what is not collected yet counts, too.
  expect(most).toBeLessThan(512 * MIB);
});

it('lets a slow reader hold back neither the download nor another reader', async () => {
  const bytes = randomBytes(8 * MIB);
  const { file } = await serve(bytes);
  const slow = (await deferring.openFile(file))[Symbol.asyncIterator]();
  const first = await slow.next();
  expect((await deferring.read(file)).equals(bytes)).toBe(true);
  await saved(file);
  const rest = await collect({ [Symbol.asyncIterator]: () => slow });
  expect(Buffer.concat([first.value as Uint8Array, rest]).equals(bytes)).toBe(true);
});

it('goes on for the others when a reader leaves, and to the end when all have left', async () => {
  const bytes = randomBytes(2 * MIB);
  const { answer, goOn } = inHalves(bytes);
  const { file, path, sha256 } = await serve(bytes, answer);
  const leaving = new AbortController();
  const left = readUntilError(await deferring.openFile(file, undefined, leaving.signal));
  const staying = (await deferring.openFile(file))[Symbol.asyncIterator]();
  await staying.next();
  leaving.abort(new Error('gone'));
  expect((await left).error).toMatchObject({ message: 'gone' });
  await staying.return?.();
  goOn();
  await saved(file);
  expect(await deferring.attached(file)).toBe(sha256);
  expect(upstream.requests(path)).toHaveLength(1);
});

it('gives no reader the last bytes of a file that is another one, and asks that source no more for a while', async () => {
  const bytes = randomBytes(MIB);
  const wrong = Buffer.concat([bytes.subarray(0, -1), Buffer.from([(bytes.at(-1) ?? 0) ^ 1])]);
  const { file, path, sha256 } = await serve(bytes, (response) => {
    response.writeHead(200, { 'content-length': wrong.length }).end(wrong);
  });
  const results = await Promise.all([1, 2, 3].map(async () => readUntilError(await deferring.openFile(file))));
  for (const { length, error } of results) {
    expect(length).toBeLessThanOrEqual(bytes.length - 64 * 1024);
    expect(error).toBeInstanceOf(FileUnavailable);
    expect((error as Error).message).toContain(`expected sha256 ${sha256}`);
  }
  expect(upstream.requests(path)).toHaveLength(1);
  expect(await deferring.aside(file)).toEqual([true]);
  expect(await deferring.attached(file)).toBeUndefined();
  expect(await deferring.storage.sizeOf(artifactKey(sha256Of(wrong)))).toBeUndefined();
  await expect(deferring.openFile(file)).rejects.toMatchObject({ name: 'FileUnavailable', retryAfter: 300 });
  expect(upstream.requests(path)).toHaveLength(1);
  // The cool-down is over, and upstream is well again.
  await deferring.sql(`update remote_artifacts set failed_until = now() where content_artifact_id = $1`, [
    file.contentArtifactId,
  ]);
  upstream.serve(path, bytes);
  expect((await deferring.read(file)).equals(bytes)).toBe(true);
  await saved(file);
  expect(await deferring.sql('select 1 from remote_artifacts where failed_until is not null')).toEqual([]);
});

it('resumes a body that breaks, without any reader noticing', async () => {
  const bytes = randomBytes(2 * MIB);
  const { file, path } = await serve(bytes, (response, { nth, headers }) => {
    const start = Number(/bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
    response.writeHead(start > 0 ? 206 : 200, {
      etag: '"1"',
      'content-length': bytes.length - start,
      ...(start > 0 && { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
    });
    if (nth > 3) response.end(bytes.subarray(start));
    else response.write(bytes.subarray(start, start + 500_000), () => setTimeout(() => response.destroy(), 50));
  });
  expect((await deferring.read(file)).equals(bytes)).toBe(true);
  const ranges = upstream.requests(path).map(({ headers }) => headers.range);
  expect(ranges).toHaveLength(4);
  expect(ranges.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range ?? ''))).toBe(true);
  await saved(file);
});

it('goes on with a body that begins anew where it is the same, and fails its readers where it is not', async () => {
  const bytes = randomBytes(2 * MIB);
  const broken =
    (first: Buffer): Answer =>
    (response, { nth }) => {
      response.writeHead(200, { 'content-length': bytes.length });
      if (nth === 1) response.write(first.subarray(0, MIB), () => setTimeout(() => response.destroy(), 50));
      else response.end(bytes);
    };
  const same = await serve(bytes, broken(bytes));
  expect((await deferring.read(same.file)).equals(bytes)).toBe(true);
  const other = await serve(bytes, broken(randomBytes(2 * MIB)));
  const { length, error } = await readUntilError(await deferring.openFile(other.file));
  expect(error).toMatchObject({ name: 'FileChanged' });
  expect(length).toBeLessThan(MIB);
  // The download itself went on, to the right end.
  await saved(other.file);
  expect(await deferring.attached(other.file)).toBe(other.sha256);
});

it('fetches a stored file again that was lost', async () => {
  const bytes = randomBytes(1000);
  const { file, path, sha256 } = await serve(bytes);
  await deferring.read(file);
  await saved(file);
  await deferring.storage.remove(artifactKey(sha256));
  const lost = { ...file, stored: { sha256, size: bytes.length } };
  expect((await deferring.read(lost)).equals(bytes)).toBe(true);
  await until(async () => (await deferring.storage.sizeOf(artifactKey(sha256))) === bytes.length);
  expect(upstream.requests(path)).toHaveLength(2);
});

it('takes a file that another client gave up, or a process that died, for what it is: not there', async () => {
  const bytes = randomBytes(2 * MIB);
  const { answer } = inHalves(bytes);
  const { file, path, sha256 } = await serve(bytes, answer);
  const other = deferring.open();
  const reading = readUntilError(await (await other.find(file, deferring.never)).open(undefined, deferring.never));
  await other.close();
  expect((await reading).error).toBeInstanceOf(Error);
  expect(await deferring.storage.sizeOf(artifactKey(sha256))).toBeUndefined();
  upstream.serve(path, bytes);
  expect((await deferring.read(file)).equals(bytes)).toBe(true);
  await saved(file);
});

it('ends a chunked body that never ends at the declared size', async () => {
  const bytes = randomBytes(MIB);
  const { file } = await serve(bytes, async (response) => {
    response.writeHead(200);
    while (!response.destroyed && response.write(bytes.subarray(0, 100_000))) await new Promise(setImmediate);
    while (!response.destroyed) {
      response.write(bytes.subarray(0, 100_000));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  });
  const { length, error } = await readUntilError(await deferring.openFile(file));
  expect(length).toBeLessThan(bytes.length);
  expect((error as Error).message).toContain(`expected ${bytes.length} bytes, found more`);
  expect(await deferring.aside(file)).toEqual([true]);
});
