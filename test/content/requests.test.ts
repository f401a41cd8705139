import { once } from 'node:events';
import { connect } from 'node:net';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { openLookupPool } from '../../src/content/lookup-pool';
import { deleteVersion } from '../../src/repositories/delete-version';
import { ContentHouse, ask } from './content-house';
import type { Reply, Served } from './content-house';

const hostile = `<img src=x onerror='alert(1)'>"&.txt`;
let house: ContentHouse;
let app: Served;

beforeAll(async () => {
  house = await ContentHouse.open();
  await house.addRepository('files');
  await house.addVersion('files', {
    'a.txt': 'a',
    'folder/b.txt': 'bb',
    'folder/deep/c.txt': 'ccc',
    'folder-x': 'x',
    'later/d.bin': null,
    [hostile]: 'hostile',
    'javascript:alert(1)': 'scheme',
    '%2e%2e': 'decoded once',
  });
  await house.distribute('team/files', 'files');
  await house.distribute('team/files-x', 'files');
  await house.distribute('secret', 'files', { guard: 'token' });
  app = await house.serve();
});
afterAll(() => house.close());

const get = (path: string, headers: Record<string, string> = {}): Promise<Reply> => ask(app.url, path, { headers });
const files = '/pulp/content/team/files/';

describe('a path', () => {
  const paths: readonly (readonly [path: string, status: number])[] = [
    ['team/files/a.txt', 200],
    ['team/files/%61.txt', 200],
    ['team/files/a.txt?query=../x', 200],
    ['team/files-x/a.txt', 200],
    ['team/files/nothing', 404],
    ['team/files/a.txt/', 404],
    ['team/files/a.txt/b', 404],
    ['team/a.txt', 404],
    ['team', 404],
    ['nobody/files/a.txt', 404],
    ['team/files/../files/a.txt', 400],
    ['team/files/%2e%2e/files-x/a.txt', 400],
    ['team/files/./a.txt', 400],
    ['team/files/folder%2fb.txt', 400],
    ['team/files%2Fa.txt', 400],
    ['team/files/..%5ca.txt', 400],
    ['team/files/a.txt%00', 400],
    ['team/files/a%0d%0aX-Header:%201', 400],
    ['team/files/%c0%ae%c0%ae/a.txt', 400],
    ['team/files/%ff', 400],
    ['team/files/%zz', 400],
    ['team/files//a.txt', 400],
    ['/etc/passwd', 400],
    // Decoded once, a name that does not exist, and one that does.
    ['team/files/%252e%252e/team/files-x/a.txt', 404],
    ['team/files/%252e%252e', 200],
    [`team/files/${'x'.repeat(5000)}`, 414],
    [`team/files/${'%61'.repeat(3000)}`, 414],
    [`team/files/${'x/'.repeat(2000)}x`, 404],
    ['secret/a.txt', 401],
    ['secret/nothing', 401],
    ['secret/', 401],
  ];
  it.each(paths.map(([path, status]) => [path.slice(0, 60), status, path] as const))(
    '%s is answered with %i',
    async (_, status, path) => {
      const reply = await get(`/pulp/content/${path}`);
      expect(reply.status).toBe(status);
      if (status === 200) return;
      expect(reply.headers).toMatchObject({
        'content-type': 'text/plain; charset=utf-8',
        'cache-control': path.startsWith('secret') ? 'private, no-cache' : 'no-cache',
      });
    },
  );

  it('elsewhere is answered with 404', async () => {
    for (const path of ['/', '/pulp/api/v3/', '/pulp/contents/team/files/a.txt'])
      expect((await get(path)).status).toBe(404);
    expect((await get('http://example.org/pulp/content/team/files/a.txt')).status).toBe(200);
    expect((await get('*')).status).toBe(400);
  });

  it('of a folder leads to its slash', async () => {
    for (const [path, location] of [
      ['/pulp/content', '/pulp/content/'],
      ['/pulp/content/team/files', files],
      [`${files}folder`, `${files}folder/`],
      [`${files}folder/deep`, `${files}folder/deep/`],
    ] as const) {
      expect(await get(path)).toMatchObject({ status: 301, headers: { location, 'cache-control': 'no-cache' } });
    }
  });
});

describe('a client', () => {
  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PROPFIND', 'TRACE'])('may not %s', async (method) => {
    const reply = await ask(app.url, `${files}a.txt`, { method });
    expect([reply.status, reply.headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  it.each([
    ['an unknown method', `FETCH ${files}a.txt HTTP/1.1\r\nHost: x\r\n\r\n`, 400],
    ['no host', `GET ${files}a.txt HTTP/1.1\r\n\r\n`, 400],
    ['another protocol', `SSH-2.0-x\r\n\r\n`, 400],
    ['headers without end', `GET ${files}a.txt HTTP/1.1\r\nHost: x\r\n${'X: y\r\n'.repeat(20_000)}`, 431],
    [
      'a body that it never sends',
      `GET ${files}a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegin`,
      200,
    ],
    [
      'a body without end',
      `GET ${files}a.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin`,
      200,
    ],
  ])('that sends %s is answered, and let go', async (_, sent, status) => {
    expect(await tell(sent)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  it('that sends requests ahead is answered in their order', async () => {
    const paths = ['a.txt', 'nothing', 'folder/b.txt', ...Array<string>(50).fill('folder/deep/c.txt')];
    const requests = paths.map((path, index) => {
      const last = index === paths.length - 1 ? 'Connection: close\r\n' : '';
      return `GET ${files}${path} HTTP/1.1\r\nHost: x\r\n${last}\r\n`;
    });
    const answers = (await tell(requests.join(''))).split(/(?=HTTP\/1\.1 )/);
    expect(answers.map((answer) => answer.slice(9, 12))).toEqual(
      paths.map((path) => (path === 'nothing' ? '404' : '200')),
    );
    expect(answers.slice(0, 3).map((answer) => answer.split('\r\n\r\n')[1])).toEqual([
      'a',
      'The version has no such file.\n',
      'bb',
    ]);
  });

  it('that sends too many requests ahead is let go', async () => {
    expect(await tell(`GET ${files}a.txt HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(500))).not.toMatch(/(HTTP\/1\.1.*){101}/s);
  });

  it('may send thousands of headers', async () => {
    const headers = `Host: x\r\nConnection: close\r\n${'X: y\r\n'.repeat(2500)}`;
    expect(await tell(`GET ${files}a.txt HTTP/1.1\r\n${headers}\r\n`)).toMatch(/^HTTP\/1.1 200 /);
  });
});

describe('what is served', () => {
  it('is the newest version at the very next request, in every process, and no version that is incomplete', async () => {
    const other = await house.serve();
    const seen = async (path: string) => {
      const replies = await Promise.all([app, other].map(({ url }) => ask(url, `/pulp/content/${path}`)));
      return replies.map(({ status, body }) => (status === 200 ? body.toString() : status));
    };
    await house.addRepository('moving');
    await house.distribute('moving', 'moving');
    for (const round of [1, 2, 3, 4]) {
      await house.addVersion('moving', { [round % 2 ? 'odd' : 'even']: 'x', always: String(round) });
      expect(await seen('moving/always')).toEqual([String(round), String(round)]);
      expect(await seen('moving/odd')).toEqual(round % 2 ? ['x', 'x'] : [404, 404]);
    }
    await house.pool.query(
      `insert into repository_versions (repository_id, number) select id, 5 from repositories where name = 'moving'`,
    );
    expect(await seen('moving/always')).toEqual(['4', '4']);
    await house.pool.query(
      `update distributions set repository_id = null,
              version_id = (select version.id from repository_versions version join repositories repository
                                on repository.id = version.repository_id where name = 'moving' and number = 2)
        where name = 'moving'`,
    );
    expect(await seen('moving/always')).toEqual(['2', '2']);
    await house.pool.query(`update distributions set base_path = 'moving/further' where name = 'moving'`);
    expect(await seen('moving/always')).toEqual([404, 404]);
    expect(await seen('moving/further/always')).toEqual(['2', '2']);
    await house.pool.query(`update distributions set base_path = 'moving' where name = 'moving'`);
    expect(await seen('moving/always')).toEqual(['2', '2']);
    await house.pool.query(`update distributions set version_id = null where name = 'moving'`);
    expect(await seen('moving/always')).toEqual([404, 404]);
    await house.pool.query(`delete from distributions where name = 'moving'`);
    expect(await seen('moving/always')).toEqual([404, 404]);
  });

  it.each([
    ['a file', 'a.txt', 2],
    ['a listing', '', 2],
    ['a folder', 'folder/', 2],
    ['a folder of many', 'folder/', 20_000],
  ])('is the next version, where one is deleted while %s of it is looked up', async (what, path, contents) => {
    await house.addRepository(what);
    await house.addVersion(what, { 'a.txt': 'old' });
    const number = await house.addVersion(what, { 'a.txt': 'deleted', 'folder/deleted.txt': '' });
    await house.pool.query('update repository_version_counts set present = $1 where present = 2', [contents]);
    await house.distribute(what.replaceAll(' ', '-'), what);
    const pool = openLookupPool(house.testDatabase.url);
    const query = pool.query.bind(pool) as (asked: { name: string }) => Promise<unknown>;
    let deletions = 0;
    const between = Object.assign(pool, {
      query: async (asked: { name: string }) => {
        if (/^files|listing/.test(asked.name) && deletions++ === 0) {
          await house.addVersion(what, { 'a.txt': 'next', 'folder/next.txt': '' });
          await deleteVersion(house.database, what, number);
        }
        return query(asked);
      },
    });
    const { url } = await house.serve({ pool: between });
    const headers = { accept: 'application/json' };
    const reply = await ask(url, `/pulp/content/${what.replaceAll(' ', '-')}/${path}`, { headers });
    expect([reply.status, reply.body.toString()]).toEqual([
      200,
      expect.stringContaining(path === '' ? 'a.txt' : 'next'),
    ]);
    expect(deletions).toBeGreaterThan(1);
    await pool.end();
  });

  it('has one base path, whatever lies beside it in the order of names', async () => {
    for (const basePath of ['team/files.d', 'team/files0', 'team/file', 'team/filesystem/x']) {
      await house.distribute(basePath, 'files');
      expect((await get(`/pulp/content/${basePath}/folder-x`)).body.toString()).toBe('x');
      expect((await get(`${files}folder-x`)).body.toString()).toBe('x');
    }
  });

  it('is a matter of that distribution, with odd characters in its base path', async () => {
    await house.distribute("ö'%_&=+ ~", 'files');
    expect((await get(`/pulp/content/${encodeURIComponent("ö'%_&=+ ~")}/a.txt`)).body.toString()).toBe('a');
    expect((await get(`/pulp/content/${encodeURIComponent("ö'xx&=+ ~")}/a.txt`)).status).toBe(404);
  });
});

describe('a listing', () => {
  const json = { accept: 'application/json' };
  const read = async (path: string) => JSON.parse((await get(path, json)).body.toString()) as Listing;

  it('is JSON for programs, in the order of bytes', async () => {
    const { entries } = await read(files);
    expect(entries.map(({ name }) => name)).toEqual([
      ...['%2e%2e', hostile, 'a.txt', 'folder-x', 'folder', 'javascript:alert(1)', 'later'],
    ]);
    expect(entries[2]).toMatchObject({ type: 'file', size: 1, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(entries[4]).toEqual({ name: 'folder', type: 'directory', size: null, sha256: null, lastModified: null });
    expect((await read(`${files}folder/`)).entries.map(({ name }) => name)).toEqual(['b.txt', 'deep']);
    expect((await read(`${files}later/`)).entries).toMatchObject([{ name: 'd.bin', size: null, sha256: null }]);
    expect((await get(`${files}nothing/`, json)).status).toBe(404);
  });

  it('is a page for people, folders first, in which no name does anything', async () => {
    const { headers, body } = await get(files);
    expect(headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', vary: 'Accept, Accept-Encoding' });
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; style-src 'sha256-\S+'; base-uri 'none'/);
    const page = body.toString();
    const links = [...page.matchAll(/<td><a href="([^"]*)"/g)].map(([, link = '']) => link.replaceAll('&#39;', "'"));
    expect(links.slice(0, 3)).toEqual(['../', './folder/', './later/']);
    expect(links).toContain('./javascript%3Aalert(1)');
    expect(page).not.toContain('<img');
    expect(page).toContain('&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&quot;&amp;.txt</a>');
    const base = new URL(`http://localhost${files}`);
    for (const link of links.slice(3)) expect((await get(new URL(link, base).pathname)).status).toBe(200);
  });

  it('shows the base paths at the top', async () => {
    const { entries } = await read('/pulp/content/');
    expect(entries.map(({ name }) => name)).toEqual(expect.arrayContaining(['secret', 'team/files', 'team/files-x']));
  });

  it('is compressed only for who takes that', async () => {
    expect((await get(files, { 'accept-encoding': 'gzip' })).headers['content-encoding']).toBe('gzip');
    expect((await get(files, { 'accept-encoding': 'gzip;q=0' })).headers['content-encoding']).toBeUndefined();
    expect((await get(`${files}a.txt`, { 'accept-encoding': 'gzip' })).headers['content-encoding']).toBeUndefined();
  });

  it.each(['small', 'large'])('comes page by page, from a version that is %s', async (size) => {
    const names = Array.from({ length: 2300 }, (_, index) => `n${String(index).padStart(5, '0')}`);
    const repository = `many-${size}`;
    await house.addRepository(repository);
    await house.addVersion(
      repository,
      Object.fromEntries(names.map((name, index) => [index % 3 === 0 ? `in/${name}/file` : `in/${name}`, null])),
    );
    await house.distribute(repository, repository);
    if (size === 'large') await house.pool.query(`update repository_version_counts set present = 1000000`);
    const found: string[] = [];
    const path = `/pulp/content/${repository}/in/`;
    let pages = 0;
    for (let next: string | undefined = ''; next !== undefined; pages += 1) {
      const reply = await get(path + next, json);
      const listing = JSON.parse(reply.body.toString()) as Listing;
      found.push(...listing.entries.map(({ name, type }) => (type === 'file' ? name : `${name}/`)));
      next = /^<(\?after=\S+)>; rel="next"$/.exec(String(reply.headers.link))?.[1];
      expect(next === undefined).toBe(listing.next === undefined);
    }
    expect(pages).toBe(2);
    expect(found).toEqual(names.map((name, index) => (index % 3 === 0 ? `${name}/` : name)));
    expect(await read(`/pulp/content/${repository}/`)).toMatchObject({ entries: [{ name: 'in' }] });
  });
});

interface Listing {
  readonly entries: readonly { readonly name: string; readonly type: string }[];
  readonly next?: string;
}

/** Sends raw bytes, and returns all that comes until the server ends the connection. */
async function tell(sent: string): Promise<string> {
  const { hostname, port } = new URL(app.url);
  const socket = connect({ host: hostname, port: Number(port) });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => undefined);
  socket.write(sent);
  await once(socket, 'close');
  return Buffer.concat(chunks).toString();
}
