import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { mkdir, readFile, readdir, unlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';

import { findFreePort, isListening } from '../../src/embedded/ports';
import { artifactKey } from '../../src/storage/storage';
import { eventually } from '../harness/penstock';
import { sha256 } from '../harness/file-repository';
import { ContentHouse, ask } from './content-house';
import type { Served } from './content-house';

const execute = promisify(execFile);
const large = randomBytes(12_000_000);
const small = randomBytes(2000);
let house: ContentHouse;
let app: Served;

beforeAll(async () => {
  house = await ContentHouse.open();
  await house.addRepository('files');
  await house.addVersion('files', { 'large.bin': large, 'small.bin': small, 'page.html': '<b>page</b>', lost: 'lost' });
  await house.distribute('files', 'files');
  app = await house.serve();
});
afterAll(() => house.close());

const url = () => `${app.url}/pulp/content/files/large.bin`;

describe('the bytes are the same with', () => {
  it.each([
    ['curl', (to: string) => ['-sSf', '-o', to, url()]],
    ['wget', (to: string) => ['-q', '-O', to, url()]],
    [
      'aria2c',
      (to: string) => ['-q', '-x8', '-s8', '-k1M', '-d', house.folder, '-o', to.split('/').at(-1) ?? '', url()],
    ],
  ] as const)('%s', async (program, args) => {
    const target = join(house.folder, `by-${program}`);
    await execute(program, args(target));
    expect(sha256(await readFile(target))).toBe(sha256(large));
  });

  it('curl that goes on where it was', async () => {
    const target = join(house.folder, 'resumed');
    await writeFile(target, large.subarray(0, 7_654_321));
    await execute('curl', ['-sSf', '-C', '-', '-o', target, url()]);
    expect(sha256(await readFile(target))).toBe(sha256(large));
  });
});

it('goes on with the file that it began with, when another version comes and the file is removed', async () => {
  const old = randomBytes(20_000_000);
  await house.addRepository('changing');
  await house.addVersion('changing', { file: old });
  await house.distribute('changing', 'changing');
  const path = `${app.url}/pulp/content/changing/file`;
  const [response] = (await once(get(path), 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [((await once(response, 'data')) as [Buffer])[0]];
  response.pause();
  await house.addVersion('changing', { file: 'new' });
  await unlink(join(house.storage.root, artifactKey(sha256(old))));
  expect((await ask(app.url, '/pulp/content/changing/file')).body.toString()).toBe('new');
  response.on('data', (chunk: Buffer) => chunks.push(chunk)).resume();
  await once(response, 'end');
  expect(sha256(Buffer.concat(chunks))).toBe(sha256(old));
});

it('ends what is under way before it stops, and takes nothing new', async () => {
  const stopping = await house.serve();
  const [response] = (await once(get(`${stopping.url}/pulp/content/files/large.bin`), 'response')) as [IncomingMessage];
  const closed = stopping.close();
  await eventually('the end of listening', async () => !(await isListening(Number(new URL(stopping.url).port))));
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  expect(sha256(Buffer.concat(chunks))).toBe(sha256(large));
  await closed;
});

it('lets go of all that a client had asked for at once, when it leaves', async () => {
  const opened = () => readdir('/proc/self/fd').then(({ length }) => length);
  const before = await opened();
  const { hostname, port } = new URL(app.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.write('GET /pulp/content/files/large.bin HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(90));
  await once(socket, 'readable');
  socket.destroy();
  await eventually('the end of reading', async () => (await opened()) < before + 20);
});

it('logs a line for each request, without what proves who asks', async () => {
  const lines: Record<string, unknown>[] = [];
  const logger = pino({ level: 'info' }, { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) });
  const logged = await house.serve({ logger });
  const headers = { authorization: 'Bearer secret', 'user-agent': 'x'.repeat(5000) };
  await ask(logged.url, '/pulp/content/files/small.bin?token=secret', { headers });
  await eventually('the line', () => lines.length > 0);
  expect(lines).toMatchObject([
    {
      msg: 'request',
      method: 'GET',
      path: '/pulp/content/files/small.bin',
      status: 200,
      remoteAddress: '127.0.0.1',
      whole: true,
    },
  ]);
  expect(lines[0]?.bytes).toBeGreaterThan(small.length);
  expect(lines[0]?.userAgent).toHaveLength(500);
  expect(JSON.stringify(lines)).not.toContain('secret');
});

describe('behind nginx', () => {
  let front: string;
  let stop: () => Promise<unknown>;

  beforeAll(async () => {
    const behind = await house.serve({
      settings: { contentAccel: '/penstock-files/', contentRedirect: false, contentTrustProxy: false },
    });
    const port = await findFreePort();
    front = `http://127.0.0.1:${port}`;
    const folder = join(house.folder, 'nginx');
    await mkdir(folder);
    const documented = await readFile(resolve(__dirname, '../../docs/nginx.conf'), 'utf8');
    const site = documented
      .replace('server 127.0.0.1:24816;', `server ${new URL(behind.url).host};`)
      .replace('listen 80;', `listen 127.0.0.1:${port};`)
      .replace('alias /var/lib/penstock/storage/;', `alias ${house.storage.root}/;`);
    expect(site).toContain(house.storage.root);
    await writeFile(
      join(folder, 'nginx.conf'),
      `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
       ${process.getuid?.() === 0 ? 'user root;' : ''} events {}
       http { access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
         fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
         ${site} }`,
    );
    const nginx = spawn('nginx', ['-e', join(folder, 'error.log'), '-p', folder, '-c', join(folder, 'nginx.conf')]);
    const ended = once(nginx, 'exit');
    stop = async () => {
      nginx.kill('SIGTERM');
      await ended;
    };
    await eventually('nginx', () => isListening(port));
  });
  afterAll(() => stop());

  const pair = (path: string, headers: Record<string, string> = {}) =>
    Promise.all([app.url, front].map((each) => ask(each, `/pulp/content/files/${path}`, { headers })));

  it.each([
    ['small.bin', {}, 200],
    ['large.bin', {}, 200],
    ['page.html', {}, 200],
    ['large.bin', { range: 'bytes=5-1000004' }, 206],
    ['large.bin', { range: 'bytes=99000000-' }, 416],
    ['small.bin', { range: 'bytes=0-9', 'if-range': `"${sha256(small)}"` }, 206],
    ['small.bin', { range: 'bytes=0-9', 'if-range': '"other"' }, 200],
    ['small.bin', { 'if-none-match': `"${sha256(small)}"` }, 304],
    ['small.bin', { 'if-match': '"other"' }, 412],
    ['small.bin', { 'if-match': `"${sha256(small)}"` }, 200],
    ['nothing', {}, 404],
    ['', {}, 200],
  ] as const)('a client gets the same: %s %j', async (path, headers, status) => {
    const [direct, through] = await pair(path, headers);
    expect([direct?.status, through?.status]).toEqual([status, status]);
    if (status === 416) return;
    expect(through?.body.equals(direct?.body ?? Buffer.alloc(0))).toBe(true);
    const told = ['etag', 'last-modified', 'content-type', 'content-range', 'cache-control', 'x-content-type-options'];
    for (const name of [...told, 'content-security-policy']) {
      expect([name, through?.headers[name]]).toEqual([name, direct?.headers[name]]);
    }
    expect(through?.headers['x-accel-redirect']).toBeUndefined();
  });

  it('gets nothing of the storage by its key, and asks the sources for what is lost', async () => {
    const key = artifactKey(sha256(small));
    expect((await ask(front, `/penstock-files/${key}`)).status).toBe(404);
    await unlink(join(house.storage.root, artifactKey(sha256(Buffer.from('lost')))));
    expect((await pair('lost')).map(({ status }) => status)).toEqual([502, 502]);
  });
});
