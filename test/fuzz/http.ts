import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';

import { downloadArtifact } from '../../src/downloads/download-artifact';
import { DownloadError, DownloadFailed } from '../../src/downloads/download-error';
import { DownloadPool } from '../../src/downloads/download-pool';
import { fetchMetadata } from '../../src/downloads/fetch-metadata';
import { RemoteClient } from '../../src/downloads/remote-client';
import { FileStorage } from '../../src/storage/file-storage';
import { artifactKey, metadataKey } from '../../src/storage/storage';
import { remoteOf } from '../downloads/set-up';
import type { Fuzzer } from './fuzzer';
import { endless, HostileServer, separator, stall } from './hostile-server';
import { readAnyManifest } from './manifest';
import { mutationsOf, textOrNasty } from './mutations';

const url = 'http://upstream.example/files/PULP_MANIFEST';
const body = `a.txt,${'ab'.repeat(32)},5\n`;
const declared = { sha256: createHash('sha256').update(body).digest('hex') };
const maxSize = 64 * 1024;
/** Bytes that the process may grow by in a run, garbage included. */
const mostGrowth = 512 * 1024 ** 2;

const header = fc.tuple(
  fc.constantFrom(
    'Content-Length',
    'Content-Range',
    'ETag',
    'Last-Modified',
    'Date',
    'Retry-After',
    'Location',
    'Transfer-Encoding',
    'Content-Encoding',
    'Connection',
    'X',
  ),
  textOrNasty([
    String(body.length),
    '10',
    'bytes 10-74/75',
    '"e"',
    'W/"e"',
    'Fri, 31 Dec 2021 23:59:59 GMT',
    '1',
    '/next',
    '//other/',
    'https://other/',
    'file:///etc/passwd',
    'chunked',
    'gzip',
    'close',
    'keep-alive',
  ]),
);
const bodies = fc.constantFrom(
  body,
  body.slice(0, 10),
  body.slice(10),
  '',
  `5\r\na.txt\r\n0\r\n\r\n`,
  'x'.repeat(1000),
);
const responses = fc
  .tuple(
    fc.constantFrom(200, 200, 200, 206, 206, 204, 301, 302, 304, 100, 401, 404, 416, 429, 503),
    fc.array(header, { maxLength: 5 }),
    bodies,
    fc.oneof({ weight: 20, arbitrary: fc.constant('') }, { weight: 1, arbitrary: fc.constantFrom(stall, endless) }),
  )
  .map(
    ([status, all, content, end]) =>
      `HTTP/1.1 ${status} Some\r\n${all.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${content}${end}`,
  );

let server: HostileServer;
let folder: string;
let storage: FileStorage;
let memory: number;
const unhandled: unknown[] = [];
const onUnhandled = (error: unknown) => unhandled.push(error);

/** Whatever a server answers, byte by byte, to who fetches metadata, reads it as a manifest, and downloads a file. */
export const http: Fuzzer = {
  name: 'http',
  inputs: mutationsOf(
    fc.array(responses, { minLength: 1, maxLength: 4 }).map((all) => Buffer.from(all.join(separator))),
  ),
  open: async () => {
    server = await HostileServer.start();
    folder = await mkdtemp(join(tmpdir(), 'penstock-fuzz-'));
    storage = await FileStorage.open(join(folder, 'storage'));
    memory = process.memoryUsage().rss;
    process.on('unhandledRejection', onUnhandled);
  },
  close: async () => {
    process.off('unhandledRejection', onUnhandled);
    await server.stop();
    await rm(folder, { recursive: true });
    assert.equal(unhandled.length, 0, String(unhandled[0]));
    const growth = process.memoryUsage().rss - memory;
    assert.ok(growth < mostGrowth, `it has grown by ${growth} bytes`);
  },
  check: async (input) => {
    const remote = remoteOf(url, {
      proxyUrl: server.url,
      connectTimeout: 1,
      sockConnectTimeout: 1,
      sockReadTimeout: 0.1,
      totalTimeout: 1,
    });
    const client = new RemoteClient(remote, { allowedFilePaths: [] });
    const pool = new DownloadPool().join({ slots: 2, requestsPerSecond: null });
    const limits = { maxSize, maxRetryAfter: 5, backoff: { first: 1, most: 2 } };
    const context = { client, pool, storage, limits, maxRetries: 1 };
    try {
      server.answerWith(input);
      const fetched = await orFailed(fetchMetadata({ urls: [url] }, (sha256) => metadataKey('1', sha256), context));
      if (fetched) {
        assert.ok(fetched.size <= maxSize);
        await readAnyManifest([await readFile(join(storage.root, metadataKey('1', fetched.sha256)))]);
      }
      server.answerWith(input);
      const downloaded = await orFailed(
        downloadArtifact({ urls: [url], digests: declared, size: body.length }, context),
      );
      if (downloaded) assert.equal(await readFile(join(storage.root, artifactKey(declared.sha256)), 'utf8'), body);
    } finally {
      await client.close();
    }
    await requireCleanStorage();
    assert.equal(unhandled.length, 0, String(unhandled[0]));
  },
};

/** A download fails with what is known of it, and with nothing else. */
async function orFailed<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof DownloadFailed)) throw error;
    for (const failure of error.failures) assert.ok(failure.error instanceof DownloadError);
    assert.ok(error.message.length < 64_000, 'its message is bounded');
    return undefined;
  }
}

/** Every file is where its digest says, and nothing else is anywhere. */
async function requireCleanStorage(): Promise<void> {
  assert.equal((await readdir(folder)).join(), 'storage');
  for await (const { key } of storage.list('')) {
    const digest = createHash('sha256')
      .update(await readFile(join(storage.root, key)))
      .digest('hex');
    assert.ok([artifactKey(digest), metadataKey('1', digest)].includes(key), `${key} is not where its digest says`);
  }
  await Promise.all([storage.removeAll('artifact'), storage.removeAll('metadata')]);
}
