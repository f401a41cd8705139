import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { findFreePort, isListening } from '../src/embedded/ports';
import { startServices } from '../src/embedded/services';
import { openDatabase } from '../src/models/database';
import { migrate } from '../src/models/migrate';
import { plugins } from '../src/plugins';
import { FileStorage } from '../src/storage/file-storage';
import { artifactKey } from '../src/storage/storage';
import { addRepository, storeFiles } from './content-data';
import { BenchProcess } from './process';

const kib = 1024;
const accel = '/penstock-files/';
const repositories = [1_000, 1_000_000] as const;
/** Seconds of each measurement. */
const duration = 10;

/**
 * Measures the content app, with client, database and app on this machine: requests a second for files of 1 KiB, spread at random over
 * repositories of two sizes, by itself and behind nginx; bytes a second of files of 100 MiB; its memory. Needs `wrk` and `nginx`.
 */
export async function benchContent(): Promise<void> {
  for (const program of ['wrk', 'nginx']) {
    if (spawnSync('which', [program]).status === 0) continue;
    process.stderr.write(`The benchmark of the content app needs ${program}, which is not installed.\n`);
    process.exitCode = 1;
    return;
  }
  const folder = await mkdtemp(join(tmpdir(), 'penstock-bench-'));
  const services = await startServices(
    { dataDir: folder, temporalGiven: true, ports: { postgres: 0, temporal: 0, ui: 0 } },
    { log: (line) => process.stderr.write(`${line}\n`) },
  );
  try {
    const large = await fill(services.databaseUrl, join(folder, 'storage'));
    const env = {
      ...process.env,
      DATABASE_URL: services.databaseUrl,
      PENSTOCK_DATA: folder,
      PENSTOCK_STORAGE: '',
      PENSTOCK_CONTENT_ADDRESS: '127.0.0.1:0',
    };
    print('| case | requests/s | MB/s | p50 | p99 | app peak MB |\n| --- | --- | --- | --- | --- | --- |');
    const app = await BenchProcess.start('../src/cli/main.js', ['content'], env);
    for (const count of repositories) await measure(`1 KiB of ${count}`, app, urlOf(app), count, folder);
    const behind = await BenchProcess.start('../src/cli/main.js', ['content'], {
      ...env,
      PENSTOCK_CONTENT_ACCEL: accel,
    });
    const nginx = await startNginx(join(folder, 'nginx'), urlOf(behind), join(folder, 'storage'));
    for (const count of repositories) await measure(`1 KiB of ${count}, nginx`, behind, nginx.url, count, folder);
    // By turns, as the machine may be busy with something else for a while.
    for (let round = 0; round < 2; round += 1) {
      await measure('100 MiB', app, `${urlOf(app)}/pulp/content/large/d000/f0000000`);
      await measure('100 MiB, nginx alone', undefined, `${nginx.url}/plain/${artifactKey(large)}`);
    }
    await nginx.stop();
    await behind.stop();
    await app.stop();
  } finally {
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** @returns the digest of the large file */
async function fill(databaseUrl: string, folder: string): Promise<string> {
  const database = openDatabase(databaseUrl);
  const storage = await FileStorage.open(folder);
  await migrate(database.sequelize, plugins);
  const small = { digests: await storeFiles(storage, 20_000, kib), bytes: kib };
  const large = { digests: await storeFiles(storage, 1, 100 * kib * kib), bytes: 100 * kib * kib };
  for (const count of repositories) {
    const digests = small.digests.slice(0, count);
    await addRepository(database.pool, `files-${count}`, count, { ...small, digests });
  }
  await addRepository(database.pool, 'large', 1, large);
  await database.close();
  return large.digests[0] ?? '';
}

function urlOf({ line }: BenchProcess): string {
  return /https?:\/\/[^/]+/.exec(line)?.[0] ?? '';
}

/** 16 connections ask for files of a repository at random, or two for one large file. */
async function measure(
  name: string,
  app: BenchProcess | undefined,
  url: string,
  count?: number,
  folder = '',
): Promise<void> {
  const args = ['--threads', '1', '--latency', '--duration', `${duration}s`, '--connections', count ? '16' : '2'];
  if (count) {
    const script = join(folder, `${count}.lua`);
    await writeFile(
      script,
      `request = function()
         local number = math.random(0, ${count - 1})
         return wrk.format("GET", string.format("/pulp/content/files-${count}/d%03d/f%07d", math.floor(number / 1000), number))
       end`,
    );
    args.push('--script', script);
  }
  const wrk = spawn('wrk', [...args, url], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said: Buffer[] = [];
  wrk.stdout.on('data', (chunk: Buffer) => said.push(chunk));
  await once(wrk, 'close');
  const text = Buffer.concat(said).toString();
  const wrong = /Non-2xx or 3xx responses: \d+|Socket errors:.*/.exec(text)?.[0];
  if (wrong !== undefined) process.stderr.write(`${name}: ${wrong}\n`);
  const found = (pattern: RegExp) => pattern.exec(text)?.[1] ?? '';
  const requests = Number(found(/Requests\/sec: +([\d.]+)/));
  const seconds = Number(found(/in +([\d.]+)s,/)) || duration;
  const bytes = inBytes(found(/requests in [^,]+, ([\d.]+[KMGT]?B) read/));
  const memory = app ? (await app.usage()).peak.toFixed(0) : '';
  const latency = count ? `${found(/50% +(\S+)/)} | ${found(/99% +(\S+)/)}` : ' | ';
  print(
    `| ${name} | ${count ? Math.round(requests) : ''} | ${(bytes / seconds / 1e6).toFixed(1)} | ${latency} | ${memory} |`,
  );
}

/** As wrk writes it: in units of 1,024. */
function inBytes(text: string): number {
  const unit = { K: 1, M: 2, G: 3, T: 4 }[/([KMGT])B/.exec(text)?.[1] ?? ''] ?? 0;
  return Number.parseFloat(text) * kib ** unit;
}

/** The documented configuration, with the storage once more as a plain folder to compare with. */
async function startNginx(
  folder: string,
  app: string,
  storage: string,
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  await mkdir(folder);
  const port = await findFreePort();
  const site = (await readFile(resolve(__dirname, '../../docs/nginx.conf'), 'utf8'))
    .replace('server 127.0.0.1:24816;', `server ${new URL(app).host};`)
    .replace('listen 80;', `listen 127.0.0.1:${port};\n  location /plain/ { alias ${storage}/; }`)
    .replace('alias /var/lib/penstock/storage/;', `alias ${storage}/;`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; worker_processes 1; pid ${folder}/pid; ${process.getuid?.() === 0 ? 'user root;' : ''} events {}
     http { access_log off; keepalive_requests 1000000; ${temporary.join(' ')} ${site} }`,
  );
  const nginx = spawn('nginx', ['-e', join(folder, 'error.log'), '-p', folder, '-c', join(folder, 'nginx.conf')]);
  const ended = once(nginx, 'exit');
  while (nginx.exitCode === null && !(await isListening(port))) await new Promise((next) => setTimeout(next, 50));
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      nginx.kill('SIGTERM');
      await ended;
    },
  };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
