import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TLSSocket } from 'node:tls';

import type { RemoteConnection } from '../../src/downloads/remote';
import { RemoteClient } from '../../src/downloads/remote-client';
import { makeCertificates, type Certificates } from './certificates';
import { Proxy } from './proxy';
import { remoteOf, textOf } from './set-up';
import { Upstream } from './upstream';

let certificates: Certificates;
let plain: Upstream;
/** Wants a client certificate, but answers without one too. */
let secure: Upstream;
let proxy: Proxy;
const clients: RemoteClient[] = [];
/** The names in the client certificates that `secure` was shown. */
const shown: (string | undefined)[] = [];

beforeAll(async () => {
  certificates = await makeCertificates();
});
beforeEach(async () => {
  const { ca, server } = certificates;
  secure = await Upstream.start({ ...server, ca: ca.cert, requestCert: true, rejectUnauthorized: false });
  secure.on('/a', (response) => {
    const socket = response.socket as TLSSocket;
    shown.push((socket.getPeerCertificate() as { subject?: { CN?: string } }).subject?.CN);
    response.end('safe');
  });
  plain = await Upstream.start();
  proxy = await Proxy.start({ username: 'bob', password: 'p:ss wörd' });
  shown.length = 0;
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await Promise.all([secure.stop(), plain.stop(), proxy.stop()]);
});

async function get(url: string, more: Partial<RemoteConnection>, remoteUrl = url): Promise<string> {
  const client = new RemoteClient(remoteOf(remoteUrl, more), { allowedFilePaths: [] });
  clients.push(client);
  return textOf((await client.open(url)).body);
}

const throughProxy = () => ({ proxyUrl: proxy.url, proxyUsername: 'bob', proxyPassword: 'p:ss wörd' });

describe('TLS', () => {
  it('trusts the authority that the remote names, and by default not just anyone', async () => {
    expect(await get(`${secure.url}/a`, { caCert: certificates.ca.cert })).toBe('safe');
    await expect(get(`${secure.url}/a`, {})).rejects.toMatchObject({
      name: 'TlsFailed',
      retried: true,
      transient: false,
      message: expect.stringMatching(/the TLS connection failed \(.*\); look at the remote's ca_cert/),
    });
  });

  it('trusts nobody for another host’s certificate', async () => {
    const other = await Upstream.start({ ...certificates.otherHost });
    await expect(get(`${other.url}/a`, { caCert: certificates.ca.cert })).rejects.toMatchObject({ name: 'TlsFailed' });
    await other.stop();
  });

  it('trusts everyone where validation is switched off', async () => {
    expect(await get(`${secure.url}/a`, { tlsValidation: false })).toBe('safe');
  });

  it('shows the client certificate to the remote’s own origin', async () => {
    const { ca, client } = certificates;
    await get(`${secure.url}/a`, { caCert: ca.cert, clientCert: client.cert, clientKey: client.key });
    expect(shown).toEqual(['penstock client']);
  });

  it('shows it to no other origin', async () => {
    const { ca, client } = certificates;
    const url = plain.redirect('/a', `${secure.url}/a`);
    expect(await get(url, { caCert: ca.cert, clientCert: client.cert, clientKey: client.key })).toBe('safe');
    expect(shown).toEqual([undefined]);
  });

  it('fails, and is tried again, where the server insists on a certificate that the remote does not have', async () => {
    const { ca, server } = certificates;
    const strict = await Upstream.start({ ...server, ca: ca.cert, requestCert: true, rejectUnauthorized: true });
    // Some servers say why in an alert; Node's just hangs up.
    await expect(get(`${strict.url}/a`, { caCert: ca.cert })).rejects.toMatchObject({
      name: expect.stringMatching(/^(TlsFailed|ConnectionFailed)$/),
      retried: true,
    });
    await strict.stop();
  });
});

describe('a proxy', () => {
  it('forwards what is http, with its own credentials and not the remote’s', async () => {
    plain.serve('/a', 'forwarded', {});
    expect(await get(`${plain.url}/a`, { ...throughProxy(), username: 'alice' })).toBe('forwarded');
    expect(proxy.seen).toEqual([`GET ${plain.url}/a`]);
    expect(plain.seen[0]?.headers).toMatchObject({ host: new URL(plain.url).host });
    expect(plain.seen[0]?.headers).toHaveProperty('authorization');
    expect(plain.seen[0]?.headers).not.toHaveProperty('proxy-authorization');
  });

  it('is tunnelled through for https, end to end', async () => {
    const { ca, client } = certificates;
    const tls = { caCert: ca.cert, clientCert: client.cert, clientKey: client.key };
    expect(await get(`${secure.url}/a`, { ...throughProxy(), ...tls })).toBe('safe');
    expect(proxy.seen).toEqual([`CONNECT ${new URL(secure.url).host}`]);
    expect(shown).toEqual(['penstock client']);
    await expect(get(`${secure.url}/a`, throughProxy())).rejects.toMatchObject({ name: 'TlsFailed' });
  });

  it('is asked for each origin by its own name', async () => {
    plain.serve('/b', 'there');
    const second = await Upstream.start();
    second.redirect('/a', `${plain.url}/b`);
    expect(await get(`${second.url}/a`, throughProxy())).toBe('there');
    expect(plain.seen[0]?.headers.host).toBe(new URL(plain.url).host);
    await second.stop();
  });

  it('that wants other credentials is told as such', async () => {
    const wrong = { ...throughProxy(), proxyPassword: 'guess' };
    const error = await get(`${secure.url}/a`, wrong).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'UnexpectedStatus', status: 407, retried: false });
    expect((error as Error).message).toMatch(/the proxy answered 407; look at proxy_username and proxy_password/);
    const client = new RemoteClient(remoteOf(plain.url, wrong), { allowedFilePaths: [] });
    clients.push(client);
    const response = await client.open(`${plain.url}/a`);
    await response.discard();
    expect(response.status).toBe(407);
    expect(plain.seen).toEqual([]);
  });

  it('that is not there is a failed connection', async () => {
    await proxy.stop();
    await expect(get(`${secure.url}/a`, throughProxy())).rejects.toMatchObject({ name: 'ConnectionFailed' });
    await expect(get(`${plain.url}/a`, throughProxy())).rejects.toMatchObject({ name: 'ConnectionFailed' });
    proxy = await Proxy.start({ username: 'bob', password: '' });
  });
});
