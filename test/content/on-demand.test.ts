import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';

import { PenstockCommand } from '../cli/penstock-command';
import type { RunningCommand } from '../cli/penstock-command';
import { FileRepository, sha256 } from '../harness/file-repository';
import { Penstock, eventually } from '../harness/penstock';
import { ObjectStore } from '../services/object-store';
import { ask } from './content-house';

const run = promisify(execFile);
const large = randomBytes(6_000_000);
const files = { 'small.txt': 'small', 'in/a/folder.txt': 'deep', 'large.bin': large, 'killed.bin': large.subarray(7) };
type Name = keyof typeof files;

describe.each(['a folder', 'an object store'])('a repository on demand, stored in %s', (where) => {
  let store: ObjectStore | undefined;
  let upstream: FileRepository;
  let penstock: Penstock;
  let command: PenstockCommand;
  let app: RunningCommand;
  let url: string;

  beforeAll(async () => {
    if (where === 'an object store') store = await ObjectStore.start();
    upstream = await FileRepository.start();
    for (const [path, content] of Object.entries(files)) upstream.put(path, content);
    penstock = await Penstock.start({ objectStore: store });
    await penstock.addRepository('files', { url: upstream.url, policy: 'on_demand' });
    await penstock.sync('files');
    await penstock.sql(
      `insert into distributions (name, base_path, repository_id) select 'd', 'all/files', id from repositories`,
    );
    command = await PenstockCommand.withNothing({
      DATABASE_URL: penstock.testDatabase.url,
      TEMPORAL_ADDRESS: penstock.temporalAddress,
      PENSTOCK_STORAGE: `file://${penstock.storageDir}`,
      ...penstock.storageEnv,
    });
    await serve();
    upstream.forget();
  });
  afterEach(() => {
    upstream.misbehave.clear();
    upstream.forget();
  });
  afterAll(async () => {
    await command.remove();
    await penstock.stop();
    await upstream.stop();
    await store?.stop();
  });

  async function serve(env: Record<string, string> = {}): Promise<void> {
    app = command.start(['content', '--json'], { env });
    await app.printed('"database"');
    ({ url } = JSON.parse(app.stdout) as { url: string });
  }

  const fetched = async (path: Name): Promise<Buffer> =>
    Buffer.from(await (await fetch(`${url}all/files/${path}`)).arrayBuffer());
  const isStored = async (path: Name): Promise<boolean> =>
    (await penstock.sql(`select from content_artifacts where relative_path = $1 and artifact_id is not null`, [path]))
      .length > 0;

  it('asks upstream once for a file, however many want it at its first request, and then never again', async () => {
    expect(await penstock.countStoredFiles().catch(() => 0)).toBe(0);
    const bodies = await Promise.all(Array.from({ length: 20 }, () => fetched('large.bin')));
    expect(bodies.every((body) => body.equals(large))).toBe(true);
    await eventually('large.bin is stored', () => isStored('large.bin'));
    expect((await fetched('large.bin')).equals(large)).toBe(true);
    expect(upstream.downloads).toEqual(['large.bin']);
  });

  it('tells of a file, and lists it, without fetching it', async () => {
    const { headers } = await fetch(`${url}all/files/small.txt`, { method: 'HEAD' });
    expect([headers.get('content-length'), headers.get('etag')]).toEqual(['5', `W/"${sha256('small')}"`]);
    const listing = await fetch(`${url}all/files/`, { headers: { accept: 'application/json' } });
    expect(await listing.json()).toMatchObject({
      entries: [
        { name: 'in', type: 'directory' },
        { name: 'killed.bin' },
        { name: 'large.bin' },
        { name: 'small.txt', size: 5 },
      ],
    });
    expect(upstream.requests).toEqual([]);
  });

  it('has nothing of a file that was being saved when the content app was killed, and fetches it again', async () => {
    const whole = files['killed.bin'] as Buffer;
    upstream.misbehave.set('killed.bin', (_, response) => {
      response.writeHead(200, { 'content-length': whole.length }).write(whole.subarray(0, 3_000_000));
    });
    const client = get(`${url}all/files/killed.bin`);
    const [response] = (await once(client, 'response')) as [IncomingMessage];
    const broken = buffer(response).then(
      () => 'whole',
      () => 'broken',
    );
    await once(response, 'data');
    app.child.kill('SIGKILL');
    expect(await broken).toBe('broken');
    expect(await isStored('killed.bin')).toBe(false);
    expect(await penstock.countStoredFiles()).toBe(1);

    upstream.misbehave.clear();
    await serve();
    expect((await fetched('killed.bin')).equals(whole)).toBe(true);
    await eventually('killed.bin is stored', () => isStored('killed.bin'));
  });

  it('sends clients to the store itself, where that is asked for', async () => {
    if (!store) {
      const refused = await command.run(['content'], { env: { PENSTOCK_CONTENT_REDIRECT: 'true' } });
      expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining('PENSTOCK_CONTENT_REDIRECT')]);
      return;
    }
    await app.stop();
    await serve({ PENSTOCK_CONTENT_REDIRECT: 'true' });
    const answer = await fetch(`${url}all/files/large.bin`, { redirect: 'manual' });
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([302, 'no-store']);
    const { stdout } = await run('curl', ['-sSfL', '-r', '10-19', `${url}all/files/large.bin`], { encoding: 'buffer' });
    expect(stdout.equals(large.subarray(10, 20))).toBe(true);
    const known = { 'if-none-match': `"${sha256(large)}"` };
    expect((await ask(url, '/pulp/content/all/files/large.bin', { headers: known })).status).toBe(304);
  });
});
