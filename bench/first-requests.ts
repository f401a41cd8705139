import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { Client } from 'undici';

import { DeferredDownloads } from '../src/content/deferred-downloads';
import { DownloadPools } from '../src/downloads/download-pool';
import type { Database } from '../src/models/database';
import { SecretBox } from '../src/models/remote-secrets';
import { FileStorage } from '../src/storage/file-storage';
import { BenchProcess } from './process';

const files = 1_000;
const bytes = 1_024;
/** The first requests of a process wait for its code to be compiled. */
const warmUp = 200;

/** What the first request of a file takes, next to asking upstream for it; milliseconds, at the median. */
export interface FirstRequests {
  readonly upstream: number;
  readonly first: number;
  /** When it is stored. */
  readonly second: number;
}

/**
 * Asks for files of 1 KiB one after the other, first upstream itself and then what serves deferred files.
 *
 * @param database - migrated, and empty
 */
export async function measureFirstRequests(database: Database, folder: string): Promise<FirstRequests> {
  const upstream = await BenchProcess.start('upstream.js', [String(files), String(bytes)]);
  const downloads = new DeferredDownloads({
    pool: database.pool,
    storage: await FileStorage.open(join(folder, 'first-requests')),
    pools: new DownloadPools(),
    secrets: new SecretBox(Buffer.alloc(32)),
    settings: { allowedFilePaths: [], allowWeakDigests: false },
    log: console,
  });
  const ids = await addFiles(database, new URL(upstream.line));
  const server = await serve(downloads);
  try {
    const paths = ids.map((_, index) => `/files/${index % 100}/${index}.bin`);
    return {
      upstream: await median(new URL(upstream.line).origin, paths),
      first: await median(server.origin, ids),
      second: await median(server.origin, ids),
    };
  } finally {
    server.server.closeAllConnections();
    server.server.close();
    await downloads.close();
    await upstream.stop();
  }
}

/** Files that are not stored, as an on-demand sync leaves them; gives their ids as paths. */
async function addFiles({ pool }: Database, manifest: URL): Promise<string[]> {
  const text = await (await fetch(manifest)).text();
  const lines = text.trim().split('\n');
  const declared = lines.map((line) => line.split(','));
  const { rows } = await pool.query<{ id: string }>(
    `with remote as (
       insert into remotes (name, type, url, policy) values ('first-requests', 'file', $1, 'on_demand') returning id
     ), content as (
       insert into contents (type) select 'file' from generate_series(1, $2) returning id
     ), numbered as (
       select id, row_number() over (order by id) as number from content
     ), attached as (
       insert into content_artifacts (content_id, relative_path)
       select numbered.id, path from numbered join unnest($3::text[]) with ordinality as file (path, number) using (number)
       returning id, relative_path
     )
     insert into remote_artifacts (content_artifact_id, remote_id, urls, sha256, size)
     select attached.id, remote.id, array[$4 || file.path], file.sha256, $6
       from remote, attached join unnest($3::text[], $5::text[]) as file (path, sha256) on path = relative_path
      order by attached.id
     returning content_artifact_id as id`,
    [
      manifest.href,
      lines.length,
      declared.map(([path]) => path),
      `${manifest.origin}/`,
      declared.map(([, sha256]) => sha256),
      bytes,
    ],
  );
  return rows.map(({ id }) => `/${id}`);
}

async function serve(downloads: DeferredDownloads): Promise<{ server: Server; origin: string }> {
  const server = createServer((request, response) => {
    const answer = async () => {
      const signal = new AbortController().signal;
      const contentArtifactId = request.url?.slice(1) ?? '';
      const found = { contentArtifactId, path: contentArtifactId, lastModified: new Date(), stored: undefined };
      const file = await downloads.find(found, signal);
      const body = await file.open(undefined, signal);
      response.writeHead(200, { 'content-length': file.size });
      for await (const piece of body) response.write(piece);
      response.end();
    };
    answer().catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** Milliseconds of a request and its body, at the median. */
async function median(origin: string, paths: readonly string[]): Promise<number> {
  const client = new Client(origin);
  const times: number[] = [];
  for (const path of paths) {
    const began = performance.now();
    const { statusCode, body } = await client.request({ method: 'GET', path });
    const { byteLength } = await body.arrayBuffer();
    if (statusCode !== 200 || byteLength !== bytes)
      throw new Error(`${origin}${path}: ${statusCode}, ${byteLength} bytes`);
    times.push(performance.now() - began);
  }
  await client.close();
  const sorted = times.slice(warmUp).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
