import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';

import type { RemoteConnection } from '../../src/downloads/remote';
import { RemoteClient, type OpenOptions } from '../../src/downloads/remote-client';
import { remoteOf, textOf } from './set-up';
import { DeafServer } from './deaf-server';
import { Upstream, until } from './upstream';

let upstream: Upstream;
let other: Upstream;
const clients: RemoteClient[] = [];

beforeEach(async () => {
  upstream = await Upstream.start();
  other = await Upstream.start();
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await Promise.all([upstream.stop(), other.stop()]);
});

function clientOf(more: Partial<RemoteConnection> = {}): RemoteClient {
  const client = new RemoteClient(remoteOf(`${upstream.url}/PULP_MANIFEST`, more), { allowedFilePaths: [] });
  clients.push(client);
  return client;
}

async function get(client: RemoteClient, url: string, options?: OpenOptions): Promise<string> {
  return textOf((await client.open(url, options)).body);
}

const secrets = {
  username: 'alice',
  password: 'secret',
  headers: [{ 'X-Token': 'secret', Cookie: 'a=1' }, { cookie: 'b=2' }, { Accept: 'text/plain' }],
};

describe('a request', () => {
  it('says who asks, with credentials and the remote’s own headers, for the bytes as they are', async () => {
    const url = upstream.serve('/a?b=c', 'bytes', { etag: '"1"' });
    const response = await clientOf(secrets).open(url);
    expect(response).toMatchObject({ url, status: 200, headers: { etag: '"1"', 'content-length': '5' } });
    expect(await textOf(response.body)).toBe('bytes');
    expect(upstream.seen[0]?.headers).toMatchObject({
      authorization: `Basic ${Buffer.from('alice:secret').toString('base64')}`,
      'x-token': 'secret',
      cookie: 'a=1; b=2',
      accept: 'text/plain',
      'accept-encoding': 'identity',
      'user-agent': expect.stringMatching(/^penstock\/\d+\.\d+\.\d+/),
    });
  });

  it('carries conditions and a range', async () => {
    const url = upstream.on('/a', (response) => {
      response.writeHead(304).end();
    });
    const options = { headers: { 'if-none-match': '"1"' }, range: { start: 5, end: 9 } };
    const response = await clientOf().open(url, options);
    await response.discard();
    expect(response.status).toBe(304);
    expect(upstream.seen[0]?.headers).toMatchObject({ 'if-none-match': '"1"', range: 'bytes=5-9' });
  });

  it('uses a connection again, also after an answer that nobody reads', async () => {
    const client = clientOf({ downloadConcurrency: 1 });
    const ports = new Set<number | undefined>();
    const url = upstream.on('/a', (response) => {
      ports.add(response.socket?.remotePort);
      response.writeHead(404).end('not here');
    });
    for (let i = 0; i < 3; i += 1) await (await client.open(url)).discard();
    expect(ports.size).toBe(1);
  });

  it('hands bytes on no faster than they are read', async () => {
    const size = 64 * 1024 * 1024;
    let sent = 0;
    const url = upstream.on('/a', async (response) => {
      response.writeHead(200, { 'content-length': size });
      while (sent < size) {
        const flowing = response.write(Buffer.alloc(1024 * 1024));
        sent += 1024 * 1024;
        if (!flowing) await once(response, 'drain');
      }
      response.end();
    });
    const response = await clientOf().open(url);
    let before = -1;
    await until(() => before === (before = sent) && sent > 0);
    expect(sent).toBeLessThan(size / 2);
    let read = 0;
    for await (const chunk of response.body) read += chunk.length;
    expect(read).toBe(size);
  });
});

describe('a url', () => {
  it.each([
    ['http://user:secret@host/a', /^http:\/\/host\/a: the url is refused, since it has credentials inside/],
    ['ftp://host/a', /its scheme is ftp; expected http, https or file/],
    ['javascript:alert(1)', /its scheme is javascript/],
    ['a/b', /it is no absolute url/],
  ])('such as %j is refused', async (url, message) => {
    const error = await clientOf()
      .open(url)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'RefusedUrl', retried: false, transient: false });
    expect((error as Error).message).toMatch(message);
    expect(JSON.stringify(error)).not.toContain('secret');
  });
});

describe('a remote', () => {
  it.each([
    ['a header that would change the message', { headers: [{ 'Transfer-Encoding': 'chunked' }] }],
    ['a header with a line break', { headers: [{ 'x-token': 'secret\r\nx-other: 1' }] }],
    ['a certificate that is none', { caCert: 'secret' }],
    ['a key without its certificate', { clientKey: '-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----' }],
    ['a proxy with credentials inside', { proxyUrl: 'http://user:secret@proxy:3128' }],
    ['a proxy of an unknown kind', { proxyUrl: 'socks5://proxy:1080' }],
  ])('with %s is refused', (_what, more) => {
    const make = () => clientOf(more);
    expect(make).toThrow(
      expect.objectContaining({ name: 'UnusableRemote', details: expect.objectContaining({ remote: 'upstream' }) }),
    );
    expect(make).not.toThrow(/secret/);
  });
});

describe('a redirect', () => {
  it.each([301, 302, 303, 307, 308])('with status %d is followed, relative ones too', async (status) => {
    upstream.serve('/folder/b', 'there');
    const url = upstream.redirect('/folder/a', 'b', status);
    const response = await clientOf().open(url);
    expect(await textOf(response.body)).toBe('there');
    expect(response.url).toBe(`${upstream.url}/folder/b`);
  });

  it('keeps credentials within the origin', async () => {
    upstream.serve('/b', 'there');
    await get(clientOf(secrets), upstream.redirect('/a', '/b'));
    expect(upstream.requests('/b')[0]?.headers).toMatchObject({
      'x-token': 'secret',
      authorization: expect.anything(),
    });
  });

  it('takes no credentials to another origin, nor back again', async () => {
    upstream.serve('/c', 'there');
    const back = other.redirect('/b', `${upstream.url}/c`);
    await get(clientOf(secrets), upstream.redirect('/a', back));
    expect(upstream.requests('/a')[0]?.headers).toHaveProperty('authorization');
    for (const { headers } of [...other.requests('/b'), ...upstream.requests('/c')]) {
      expect(JSON.stringify(headers)).not.toMatch(/secret|authorization|cookie|x-token|alice/i);
      expect(headers.accept).toBe('text/plain');
    }
    expect(other.seen).toHaveLength(1);
  });

  it('is not needed: what upstream’s metadata names at another origin gets no credentials either', async () => {
    const response = await clientOf(secrets).open(other.serve('/a', 'there'));
    await response.discard();
    expect(response.credentialsWithheld).toBe(true);
    expect(JSON.stringify(other.seen)).not.toMatch(/secret|authorization/i);
  });

  it('in a circle is an error that shows the circle', async () => {
    upstream.redirect('/b', '/a');
    const url = upstream.redirect('/a', '/b');
    await expect(get(clientOf(), url)).rejects.toMatchObject({
      name: 'TooManyRedirects',
      retried: false,
      message: `${url}: a redirect loop: ${url} → ${upstream.url}/b → ${url}`,
    });
    expect(upstream.seen).toHaveLength(2);
  });

  it('after redirect is followed ten times', async () => {
    for (let i = 0; i < 20; i += 1) upstream.redirect(`/${i}`, `/${i + 1}?signature=secret`);
    for (let i = 0; i < 20; i += 1) upstream.redirect(`/${i}?signature=secret`, `/${i + 1}?signature=secret`);
    const error = await get(clientOf(), `${upstream.url}/0`).catch((thrown: unknown) => thrown);
    expect((error as Error).message).toMatch(/more than 10 redirects: .*\/0 → .*\/11$/);
    expect((error as Error).message).not.toContain('secret');
    expect(upstream.seen).toHaveLength(11);
  });

  it('that leads on to what is refused does not show the signature of any hop', async () => {
    upstream.redirect('/b?X-Amz-Signature=secret', 'ftp://host/c?signature=secret');
    const url = upstream.redirect('/a', '/b?X-Amz-Signature=secret');
    const error = await get(clientOf(), url).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'RefusedUrl', details: { url: `${upstream.url}/b` } });
    expect(`${(error as Error).message}${JSON.stringify(error)}`).not.toMatch(/secret/);
  });

  it.each([
    ['file:///etc/passwd', 'another scheme'],
    ['ftp://host/', 'another scheme'],
    ['http://user:secret@host/', 'credentials inside'],
    ['http://[', 'no url'],
  ])('to %j is refused', async (location, reason) => {
    const url = upstream.redirect('/a', location);
    const error = await get(clientOf(), url).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'RefusedUrl', retried: false });
    expect((error as Error).message).toContain(reason);
    expect((error as Error).message).not.toContain('secret');
  });
});

describe('what takes too long', () => {
  const silence = () => undefined;

  it('before the headers is a timeout of the read', async () => {
    const url = upstream.on('/a', silence);
    await expect(get(clientOf({ sockReadTimeout: 0.1 }), url)).rejects.toMatchObject({
      name: 'DownloadTimeout',
      kind: 'sock_read',
      retried: true,
      transient: true,
      message: `${url}: nothing was received for 0.1 s (sock_read_timeout)`,
    });
  });

  it('between two reads is a timeout of the read', async () => {
    const url = upstream.on('/a', (response) => void response.writeHead(200).write('begin'));
    await expect(get(clientOf({ sockReadTimeout: 0.1 }), url)).rejects.toMatchObject({ kind: 'sock_read' });
  });

  it('in all is a timeout of the whole, over redirects too', async () => {
    upstream.on('/b', silence);
    const url = upstream.redirect('/a', '/b');
    await expect(get(clientOf({ totalTimeout: 0.1 }), url)).rejects.toMatchObject({
      kind: 'total',
      message: `${upstream.url}/b: the download took longer than 0.1 s (total_timeout)`,
    });
  });

  it.each<[string, Partial<RemoteConnection>]>([
    ['total', { totalTimeout: 0.1 }],
    ['sock_read', { sockReadTimeout: 0.1 }],
  ])('at a signed url that was redirected to does not show the signature (%s)', async (kind, timeouts) => {
    const signed = '/b?X-Amz-Signature=secret';
    upstream.on(signed, silence);
    const url = upstream.redirect('/a', signed);
    const error = await get(clientOf(timeouts), url).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind, details: { url: `${upstream.url}/b` } });
    expect(`${(error as Error).message}${JSON.stringify(error)}`).not.toContain('secret');
  });

  it('to agree on TLS is a timeout of the connection', async () => {
    const mute = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const url = `https://127.0.0.1:${(mute.address() as AddressInfo).port}/`;
    const client = clientOf({ connectTimeout: 0.1 });
    await expect(get(client, url)).rejects.toMatchObject({ kind: 'connect', retried: true });
    await client.close();
    mute.close();
  });

  it('to connect is a timeout of the socket', async () => {
    const deaf = await DeafServer.start();
    const client = clientOf({ sockConnectTimeout: 0.1 });
    await expect(get(client, deaf.url)).rejects.toMatchObject({
      kind: 'sock_connect',
      message: `${deaf.url}: the socket was not connected within 0.1 s (sock_connect_timeout)`,
    });
    await deaf.stop();
  });
});

describe('a connection', () => {
  it('that is refused is told as such', async () => {
    const gone = await Upstream.start();
    await gone.stop();
    await expect(get(clientOf(), `${gone.url}/a`)).rejects.toMatchObject({
      name: 'ConnectionFailed',
      retried: true,
      transient: true,
      message: `${gone.url}/a: the connection was refused`,
    });
  });

  it('that is refused where a redirect led to does not show the signature there', async () => {
    const gone = await Upstream.start();
    await gone.stop();
    const url = upstream.redirect('/a?b=c', `${gone.url}/b?X-Amz-Signature=secret`);
    const error = await get(clientOf(), url).catch((thrown: unknown) => thrown);
    expect((error as Error).message).toBe(`${gone.url}/b: the connection was refused`);
    expect(JSON.stringify(error)).not.toContain('secret');
  });

  it('that breaks in the body is told as such', async () => {
    const url = upstream.on('/a', (response) => {
      response.writeHead(200, { 'content-length': 100 }).write('begin', () => response.destroy());
    });
    await expect(get(clientOf(), url)).rejects.toMatchObject({ name: 'ConnectionFailed', retried: true });
  });

  it('whose headers have no end is cut', async () => {
    const url = upstream.on('/a', (response) => {
      response.socket?.write(`HTTP/1.1 200 OK\r\n${`x-filler: ${'x'.repeat(8000)}\r\n`.repeat(20)}`);
    });
    await expect(get(clientOf(), url)).rejects.toMatchObject({ message: `${url}: the headers are too large` });
  });

  it('ends with the signal’s reason, in the headers and in the body', async () => {
    const silent = upstream.on('/a', () => undefined);
    const begun = upstream.on('/b', (response) => void response.writeHead(200).write('begin'));
    for (const url of [silent, begun]) {
      const abort = new AbortController();
      const reading = get(clientOf(), url, { signal: abort.signal });
      await until(() => upstream.open > 0);
      abort.abort(new Error('enough'));
      await expect(reading).rejects.toThrow('enough');
      await until(() => upstream.open === 0);
      await expect(get(clientOf(), url, { signal: abort.signal })).rejects.toThrow('enough');
    }
  });
});
