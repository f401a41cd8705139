import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { DeafServer } from '../downloads/deaf-server';
import { FileRepository } from '../harness/file-repository';
import { failSync } from '../harness/failed-sync';
import { Penstock } from '../harness/penstock';

describe('a remote that cannot be used', () => {
  let penstock: Penstock;
  let upstream: FileRepository;

  beforeAll(async () => {
    penstock = await Penstock.start();
    upstream = await FileRepository.start({ a: 'a' });
  });
  afterAll(async () => {
    await upstream.stop();
    await penstock.stop();
  });

  /** The remote gets the right url: the sync completes. */
  async function expectMended(name: string): Promise<void> {
    await penstock.sql('update remotes set url = $2 where name = $1', [name, upstream.url]);
    await expect(penstock.sync(name)).resolves.toMatchObject({ version: 1, present: 1 });
  }

  it('as its url has credentials inside, which are shown nowhere', async () => {
    await penstock.addRepository('credentials', { url: upstream.url.replace('//', '//me:hunter2@') });
    const handle = await penstock.startSync('credentials');
    const failed = await penstock.resultOf(handle).catch((error: unknown) => error);
    expect(failed).toMatchObject({ type: 'RefusedUrl', transient: false, details: { repository: 'credentials' } });
    expect((failed as Error).message).toContain(
      `Repository "credentials": ${upstream.url}: the url is refused, since it has credentials inside; expected username and password`,
    );
    const told = [(failed as Error).message, failed, await handle.fetchHistory(), await handle.describe()];
    expect(told.map((each) => JSON.stringify(each)).join('')).not.toContain('hunter2');
    const [sync] = await penstock.sql('select error from syncs order by id desc limit 1');
    expect(JSON.stringify(sync)).not.toContain('hunter2');
    await expectMended('credentials');
  });

  it.each([
    ['ftp://upstream.example/PULP_MANIFEST', 'its scheme is ftp'],
    ['/srv/files/PULP_MANIFEST', 'it is no absolute url'],
    ['file:///etc/PULP_MANIFEST', 'below an allowed folder'],
  ])('as its url is %s', async (url, why) => {
    await penstock.addRepository(url, { url });
    const failed = await failSync(penstock, url);
    expect(failed.transient).toBe(false);
    expect(failed.message).toContain(`Repository "${url}": `);
    expect(failed.message).toContain(why);
    await expectMended(url);
  });

  it('as nobody listens there', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(closed.address() as AddressInfo).port}/PULP_MANIFEST`;
    await new Promise((resolve) => closed.close(resolve));
    await penstock.addRepository('nobody', { url, max_retries: 1 });
    const failed = await failSync(penstock, 'nobody');
    expect(failed).toMatchObject({ type: 'DownloadFailed', transient: true, details: { url } });
    expect(failed.message).toContain(`${url}: the connection was refused (2 attempts). Sync again later`);
    await expectMended('nobody');
  });

  it('as its host accepts connections and says nothing', async () => {
    const sockets = new Set<Socket>();
    const mute = createServer((socket) => sockets.add(socket));
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(mute.address() as AddressInfo).port}/PULP_MANIFEST`;
    await penstock.addRepository('mute', { url, max_retries: 0, sock_read_timeout: 0.3 });
    await penstock.addRepository('mute-too', { url, max_retries: 0, total_timeout: 0.3 });
    const [failed, other] = await Promise.all([failSync(penstock, 'mute'), failSync(penstock, 'mute-too')]);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => mute.close(resolve));

    expect(failed).toMatchObject({ type: 'DownloadFailed', transient: true });
    expect(failed.message).toContain(`${url}: nothing was received for 0.3 s (sock_read_timeout) (1 attempt)`);
    expect(other).toMatchObject({ type: 'DownloadFailed', transient: true });
    expect(other.message).toContain(`${url}: the download took longer than 0.3 s (total_timeout) (1 attempt)`);
    await expectMended('mute');
  });

  it('as its host does not even take connections', async () => {
    const deaf = await DeafServer.start();
    await penstock.addRepository('deaf', { url: `${deaf.url}M`, max_retries: 0, sock_connect_timeout: 0.3 });
    const failed = await failSync(penstock, 'deaf');
    await deaf.stop();
    expect(failed).toMatchObject({ type: 'DownloadFailed', transient: true });
    expect(failed.message).toContain(`${deaf.url}M: the socket was not connected within 0.3 s (sock_connect_timeout)`);
    await expectMended('deaf');
  });

  it('as its host does not exist', async () => {
    const url = 'http://upstream.invalid/PULP_MANIFEST';
    await penstock.addRepository('nowhere', { url, max_retries: 0 });
    const failed = await failSync(penstock, 'nowhere');
    expect(failed.type).toBe('DownloadFailed');
    expect(failed.message).toContain(`${url}: the host name `);
    await expectMended('nowhere');
  });

  it('as its manifest is redirected in a circle', async () => {
    upstream.misbehave.set('here', (_, response) => response.writeHead(302, { location: '/there' }).end());
    upstream.misbehave.set('there', (_, response) => response.writeHead(302, { location: '/here' }).end());
    await penstock.addRepository('circle', { url: `${upstream.origin}/here` });
    const failed = await failSync(penstock, 'circle');
    expect(failed).toMatchObject({ type: 'DownloadFailed', transient: false });
    const { origin } = upstream;
    expect(failed.message).toContain(`a redirect loop: ${origin}/here → ${origin}/there → ${origin}/here (1 attempt)`);
    await expectMended('circle');
  });

  it('as its manifest never ends', async () => {
    upstream.misbehave.set('endless', (_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write('\n'), 20);
      response.on('close', () => {
        clearInterval(timer);
      });
    });
    const url = `${upstream.origin}/endless`;
    await penstock.addRepository('endless', { url, max_retries: 0, total_timeout: 0.5 });
    const failed = await failSync(penstock, 'endless');
    expect(failed).toMatchObject({ type: 'DownloadFailed', transient: true });
    expect(failed.message).toContain(`${url}: the download took longer than 0.5 s (total_timeout)`);
    await expectMended('endless');
  });

  it('as it is of another type than its repository', async () => {
    await penstock.addRepository('typed', { url: upstream.url });
    await penstock.sql("update remotes set type = 'deb' where name = 'typed'");
    const failed = await failSync(penstock, 'typed');
    expect(failed).toMatchObject({
      type: 'CannotSync',
      transient: false,
      details: { remote: 'typed', expected: 'file', found: 'deb' },
    });
    expect(failed.message).toContain('is of type file, its remote "typed" of type deb');
  });

  it('as there is none', async () => {
    await penstock.addRepository('alone', { url: upstream.url });
    await penstock.sql("update repositories set remote_id = null where name = 'alone'");
    const failed = await failSync(penstock, 'alone');
    expect(failed).toMatchObject({ type: 'CannotSync', transient: false });
    expect(failed.message).toBe(
      'Repository "alone" has no remote. Give it one: penstock repository update alone --remote NAME',
    );
  });

  it('as there is no such repository', async () => {
    const failed = await failSync(penstock, 'no such');
    expect(failed).toMatchObject({ type: 'RepositoryNotFound', transient: false });
    expect(failed.message).toContain('There is no repository "no such". "penstock repository list" shows');
  });

  it('as its type is of a plugin that is not here', async () => {
    await penstock.addRepository('foreign', { url: upstream.url }, 'rpm');
    const failed = await failSync(penstock, 'foreign');
    expect(failed.transient).toBe(false);
    expect(failed.message).toContain('There is no plugin "rpm"; the plugins here are: file.');
  });
});
