import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { IncomingMessage, createServer as createHttpServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import { Agent, createServer as createHttpsServer, request as httpsRequest } from 'node:https';
import { Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';

import { ContentServer } from '../../src/content/content-server';
import { Guards } from '../../src/content/guards';
import { createDistribution, findDistribution, viewDistribution } from '../../src/distributions/distributions';
import { TokenAlreadyExists, TokenNotFound } from '../../src/distributions/errors';
import { addToken, listTokens, removeToken } from '../../src/distributions/tokens';
import type { Database } from '../../src/models/database';
import { Distribution } from '../../src/models/distribution-models';
import { makeClientCertificates } from './client-certificates';
import type { KeyPair } from './client-certificates';
import { openTestDatabase } from './set-up';

let database: Database;
const servers: Server[] = [];

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(async () => {
  for (const server of servers) server.closeAllConnections();
  await Promise.all(servers.map((server) => promisify(server.close.bind(server))()));
  await database.close();
});

/** Answers with what a guard says of a distribution, whose name is the path. */
function answering(guards: Guards): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const answer = async () => {
      const distribution = await Distribution.findOne({ where: { name: request.url?.slice(1) ?? '' } });
      const refusal = distribution && (await guards.check(distribution, request));
      response.writeHead(refusal?.status ?? 200, refusal?.headers).end(refusal?.message ?? 'readable');
    };
    answer().catch((error: unknown) => response.writeHead(500).end(String(error)));
  };
}

async function listen(server: Server): Promise<string> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('the guard "token"', () => {
  let origin: string;

  beforeAll(async () => {
    origin = `http://${await listen(createHttpServer(answering(new Guards(database.pool, { trustProxy: false }))))}`;
    for (const name of ['inner', 'other']) await createDistribution(database, { name, basePath: name, guard: 'token' });
    await createDistribution(database, { name: 'open', basePath: 'open' });
  });

  const get = (name: string, authorization?: string) =>
    fetch(`${origin}/${name}`, { headers: authorization === undefined ? {} : { authorization } });
  const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

  it('lets everybody read what has no guard', async () => {
    expect((await get('open')).status).toBe(200);
    expect((await get('open', 'Bearer whatever')).status).toBe(200);
  });

  it('lets who has a token read its distribution, as package managers send it', async () => {
    const { token, ...shown } = await addToken('inner', 'laptop');
    expect(token).toMatch(/^penstock_[\w-]{43}$/);
    expect(await listTokens('inner')).toEqual([shown]);
    for (const sent of [`Bearer ${token}`, `bearer  ${token}`, basic('apt', token), basic('', token)]) {
      expect([sent, (await get('inner', sent)).status]).toEqual([sent, 200]);
      expect([sent, (await get('other', sent)).status]).toEqual([sent, 401]);
    }
    const { rows } = await database.pool.query<{ all: string }>(
      'select string_agg(t::text, $1) as all from distribution_tokens t',
      [' '],
    );
    expect(rows[0]?.all).not.toContain(token.slice(9));
  });

  it('refuses with the ways to send one where none came, or a wrong one', async () => {
    const { token } = await addToken('inner', 'refusals');
    for (const sent of [
      undefined,
      'Bearer',
      'Bearer nonsense',
      `Bearer ${token}x`,
      `Bearer ${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`,
      `Token ${token}`,
      token,
      basic(token, ''),
      `Basic ${Buffer.from(token).toString('base64')}`,
      'Basic !!!!',
      `Basic ${'A'.repeat(9000)}`,
      `Bearer ' or true --`,
    ]) {
      const refused = await get('inner', sent);
      expect([sent, refused.status]).toEqual([sent, 401]);
      expect(refused.headers.get('www-authenticate')).toMatch(/^Basic realm="Penstock".*, Bearer realm="Penstock"$/);
      expect(await refused.text()).not.toContain(token);
    }
  });

  it('refuses one that has expired or was removed, from then on', async () => {
    const { token } = await addToken('inner', 'short', 3600);
    const sent = `Bearer ${token}`;
    expect((await get('inner', sent)).status).toBe(200);
    await database.pool.query(`update distribution_tokens set expires_at = now() where name = 'short'`);
    expect((await get('inner', sent)).status).toBe(401);
    expect(await listTokens('inner')).toContainEqual(expect.objectContaining({ name: 'short', expired: true }));
    await database.pool.query(
      `update distribution_tokens set expires_at = now() + interval '1 day' where name = 'short'`,
    );
    expect((await get('inner', sent)).status).toBe(200);
    await removeToken('inner', 'short');
    expect((await get('inner', sent)).status).toBe(401);
    await expect(removeToken('inner', 'short')).rejects.toThrow(TokenNotFound);
  });

  it('asks the database once for requests that come together', async () => {
    const { token } = await addToken('inner', 'many');
    const query = jest.spyOn(database.pool, 'query');
    const guards = new Guards(database.pool, { trustProxy: false });
    const inner = await findDistribution('inner');
    const ask = (sent: string) => {
      const request = new IncomingMessage(new Socket());
      request.headers.authorization = `Bearer ${sent}`;
      return guards.check(inner, request);
    };
    const other = `penstock_${'x'.repeat(43)}`;
    query.mockClear();
    const refusals = await Promise.all(Array.from({ length: 100 }, (_, index) => ask(index % 2 === 0 ? token : other)));
    expect(refusals.map((refusal) => refusal?.status)).toEqual(
      Array.from({ length: 100 }, (_, index) => (index % 2 === 0 ? undefined : 401)),
    );
    expect(query).toHaveBeenCalledTimes(1);
    query.mockRestore();
  });

  it('refuses names twice, and lifetimes that make no sense', async () => {
    await addToken('other', 'once');
    await expect(addToken('other', 'once')).rejects.toThrow(TokenAlreadyExists);
    for (const lifetime of [0, 1e11])
      await expect(addToken('other', 'odd', lifetime)).rejects.toThrow('lifetime of a token');
    await expect(addToken('other', 'a/b')).rejects.toThrow('name of a token');
    await expect(addToken('nope', 'a')).rejects.toThrow('There is no distribution "nope".');
    expect((await listTokens('other')).map(({ name }) => name)).toEqual(['once']);
    expect(await viewDistribution(database, 'other')).toMatchObject({ tokens: 1 });
  });
});

describe('the guard "certificate"', () => {
  let certificates: Awaited<ReturnType<typeof makeClientCertificates>>;
  let direct: string;
  let plain: string;
  let behindProxy: string;

  beforeAll(async () => {
    certificates = await makeClientCertificates();
    const { root, foreignRoot, intermediate, server } = certificates;
    for (const [name, clientCa] of Object.entries({
      rooted: root.cert,
      several: `${foreignRoot.cert}\n${intermediate.cert}`,
    })) {
      await createDistribution(database, { name, basePath: name, guard: 'certificate', clientCa });
    }
    const guards = new Guards(database.pool, { trustProxy: false });
    const tls = { ...server, requestCert: true, rejectUnauthorized: false };
    direct = await listen(createHttpsServer(tls, answering(guards)));
    plain = await listen(createHttpServer(answering(guards)));
    behindProxy = await listen(createHttpServer(answering(new Guards(database.pool, { trustProxy: true }))));
  });

  /** Over a TLS connection of its own. */
  async function show(
    name: string,
    client?: KeyPair,
    headers: Record<string, string> = {},
    { agent, url = `https://${direct}` }: { agent?: Agent; url?: string } = {},
  ): Promise<[number | undefined, string]> {
    return new Promise((resolve, reject) => {
      const { root } = certificates;
      const options = {
        ca: root.cert,
        checkServerIdentity: () => undefined,
        agent: agent ?? false,
        headers,
        ...client,
      };
      httpsRequest(`${url}/${name}`, options, (response) => {
        text(response).then((body) => {
          resolve([response.statusCode, body]);
        }, reject);
      })
        .on('error', reject)
        .end();
    });
  }

  async function forward(name: string, header?: string, host = behindProxy): Promise<[number, string]> {
    const response = await fetch(`http://${host}/${name}`, {
      headers: header === undefined ? {} : { 'x-client-cert': header },
    });
    return [response.status, await response.text()];
  }

  const readable = [200, 'readable'];
  const refused = (why: string) => [403, `A client certificate is needed that may read this: ${why}.`];
  const unsigned = 'no authority that may vouch for clients here has signed the one that was shown';

  it('lets clients read whose certificate an authority has signed, also through an intermediate', async () => {
    const { plain: direct, forClients, byIntermediate } = certificates.good;
    for (const client of [direct, forClients, byIntermediate]) expect(await show('rooted', client)).toEqual(readable);
    expect(await show('several', certificates.bad.withoutIntermediate)).toEqual(readable);
    expect(await show('several', direct)).toEqual(refused(unsigned));
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('lets them read on further connections, by %s', async (version) => {
    const { root, server, good } = certificates;
    const folder = await mkdtemp(join(tmpdir(), 'penstock-tls-'));
    const contentTls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
    await writeFile(contentTls.cert, server.cert);
    await writeFile(contentTls.key, server.key);
    const contentAddress = { host: '127.0.0.1', port: 0 };
    const guards = new Guards(database.pool, { trustProxy: false });
    const content = await ContentServer.open({ contentAddress, contentTls }, answering(guards));
    try {
      // It resumes a session where it can.
      const agent = new Agent({ maxVersion: version, ca: root.cert, checkServerIdentity: () => undefined });
      for (const connection of ['first', 'second', 'third']) {
        const [, body] = await show('rooted', good.byIntermediate, {}, { agent, url: content.url });
        expect([connection, body]).toEqual([connection, 'readable']);
      }
    } finally {
      await content.close();
      await rm(folder, { recursive: true });
    }
  });

  it('refuses all others over TLS', async () => {
    const { expired, notYetValid, forServers, ...unknown } = certificates.bad;
    expect(await show('rooted')).toEqual(refused('none was shown'));
    for (const client of [expired, notYetValid]) {
      expect((await show('rooted', client))[1]).toMatch(/: the one that was shown is valid from .* GMT to .* GMT\.$/);
    }
    expect(await show('rooted', forServers)).toEqual(
      refused('the one that was shown is not for the authentication of clients'),
    );
    for (const [what, client] of Object.entries(unknown)) {
      expect([what, ...(await show('rooted', client))]).toEqual([what, ...refused(unsigned)]);
    }
  });

  it('takes no header from anybody but a proxy that is trusted, and nothing else from that one', async () => {
    const { good, bad } = certificates;
    const header = encodeURIComponent(good.plain.cert);
    expect(await forward('rooted', header, plain)).toEqual(refused('none was shown'));
    expect(await show('rooted', bad.selfSigned, { 'x-client-cert': header })).toEqual(refused(unsigned));
    expect(await forward('rooted')).toEqual(refused('none was shown'));
    expect(await forward('rooted', header)).toEqual(readable);
    expect(await forward('rooted', encodeURIComponent(bad.selfSigned.cert))).toEqual(refused(unsigned));
    expect(await forward('rooted', encodeURIComponent(bad.withoutIntermediate.cert))).toEqual(refused(unsigned));
  });

  it.each([
    ['no escape', '%zz'],
    ['no PEM', 'hello'],
    ['no certificate', '-----BEGIN CERTIFICATE-----%0AAAAA%0A-----END CERTIFICATE-----'],
    ['an empty one', '-----BEGIN CERTIFICATE----------END CERTIFICATE-----'],
  ])('refuses a header with %s', async (_, header) => {
    expect(await forward('rooted', header)).toEqual(refused('the one that was shown cannot be read'));
  });

  it('refuses a header with more than one certificate, as of a proxy that only adds to it', async () => {
    const { good, bad } = certificates;
    const [one, other] = [encodeURIComponent(good.plain.cert), encodeURIComponent(bad.selfSigned.cert)];
    for (const header of [
      `${one}, ${other}`,
      `${one}${other}`,
      `x${one}`,
      encodeURIComponent(good.plain.cert.repeat(9)),
    ]) {
      expect(await forward('rooted', header)).toEqual(refused('the one that was shown cannot be read'));
    }
  });
});
