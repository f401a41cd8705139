import * as fs from 'node:fs';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { FileStorage } from '../../src/storage/file-storage';
import { resume } from '../../workflows/messages';
import { FileRepository, numberedFiles, sha256 } from '../harness/file-repository';
import type { Misbehaviour } from '../harness/file-repository';
import { failSync } from '../harness/failed-sync';
import { Penstock, eventually } from '../harness/penstock';

/** While it is true, no byte can be written to the storage of the test's worker. */
let diskIsFull = false;

/** A storage on the real file system, which says that it is full whenever the test wants it. */
function openStorage(folder: string): Promise<FileStorage> {
  const refuse = () => {
    if (diskIsFull) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  };
  return FileStorage.open(folder, {
    ...fs,
    writevSync: (...args) => {
      refuse();
      return fs.writevSync(...args);
    },
  });
}

const truncated: Misbehaviour = (_, response) => {
  response.writeHead(200, { 'content-length': 9 });
  response.write('go', () => response.destroy());
};
const endless: Misbehaviour = (_, response) => {
  response.writeHead(200);
  const send = () => {
    while (!response.destroyed && response.write(Buffer.alloc(65_536)));
  };
  response.on('drain', send);
  send();
};
const redirectTo =
  (location: string): Misbehaviour =>
  (_, response) =>
    response.writeHead(302, { location }).end();

const trickle: Misbehaviour = (_, response) => {
  response.writeHead(200, { 'content-length': 9 });
  response.write('g');
  const timer = setInterval(() => response.write(''), 100);
  response.on('close', () => {
    clearInterval(timer);
  });
};

interface Expected {
  readonly attempts: number;
  readonly transient?: boolean;
  readonly what: string;
}

const badFiles: readonly [string, Misbehaviour, Expected][] = [
  ['is missing', (_, response) => response.writeHead(404).end(), { attempts: 1, what: 'the server answered 404' }],
  ['is longer', (_, response) => response.end('somewhat long'), { attempts: 2, what: 'expected 9 bytes, found 13' }],
  ['is shorter', (_, response) => response.end('abc'), { attempts: 2, what: 'expected 9 bytes, found 3' }],
  [
    'has another digest',
    (_, response) => response.end('evil 0000'),
    { attempts: 2, what: `expected sha256 GOOD, found ${sha256('evil 0000')}` },
  ],
  ['never ends', endless, { attempts: 2, what: 'expected 9 bytes, found more than 9' }],
  ['breaks off each time', truncated, { attempts: 2, transient: true, what: 'the connection was closed' }],
  ['is redirected in a circle', redirectTo('/bad'), { attempts: 1, what: 'a redirect loop' }],
  [
    'is redirected to a file of this machine',
    redirectTo('file:///etc/passwd'),
    { attempts: 1, what: 'it redirects to file:///etc/passwd: another scheme' },
  ],
  [
    'is redirected with credentials inside',
    redirectTo('http://me:hunter2@127.0.0.1/'),
    { attempts: 1, what: 'credentials inside' },
  ],
];

let penstock: Penstock;

beforeAll(async () => {
  penstock = await Penstock.start({ storage: openStorage });
});
afterAll(() => penstock.stop());

describe('a file that', () => {
  let outcomes: Record<string, ReturnType<typeof failAndMend>>;

  beforeAll(async () => {
    // All at once, each in a repository of its own.
    outcomes = Object.fromEntries(badFiles.map(([what, bad], index) => [what, failAndMend(what, bad, index)]));
    await Promise.allSettled(Object.values(outcomes));
  });

  /** Syncs a repository with this file among others, and again once upstream has the right one. */
  async function failAndMend(name: string, misbehaviour: Misbehaviour, index: number) {
    const good = `good ${String(index).padStart(4, '0')}`;
    const upstream = await FileRepository.start({ a: `a${index}`, bad: good, c: `c${index}` });
    try {
      await penstock.addRepository(name, { url: upstream.url, max_retries: 1 });
      upstream.misbehave.set('bad', misbehaviour);
      const failed = await failSync(penstock, name);
      upstream.misbehave.clear();
      upstream.forget();
      const mended = await penstock.sync(name);
      return { good, url: `${upstream.origin}/bad`, failed, mended, downloads: upstream.downloads };
    } finally {
      await upstream.stop();
    }
  }

  it.each(badFiles)(
    '%s, is named with url, expected and found, and the others are saved',
    async (name, _, expected) => {
      const outcome = await (outcomes[name] ?? Promise.reject(new Error('was not run')));
      const { failed, good, url, mended, downloads } = outcome;
      expect(failed).toMatchObject({ type: 'SyncIncomplete', transient: expected.transient ?? false });
      expect(failed.message).toContain(`\nbad: Could not download ${url}: `);
      expect(failed.message).toContain(expected.what.replace('GOOD', sha256(good)));
      expect(failed.message).not.toContain('hunter2');
      expect(failed.message).toMatch(new RegExp(`\\(${expected.attempts} attempts?\\)`));
      expect(failed.message).not.toContain('\nc:');
      expect(mended).toMatchObject({ version: 1, added: 3, present: 3 });
      expect(downloads).toEqual(['bad']);
    },
  );
});

describe('a file that upstream does not have as it says', () => {
  let upstream: FileRepository;
  let name: string;
  let good: string;
  let count = 0;

  beforeEach(async () => {
    name = `repository-${(count += 1)}`;
    // No repository finds the files of another.
    good = `fine ${String(count).padStart(4, '0')}`;
    upstream = await FileRepository.start({
      [`${name}/a`]: `another a${count}`,
      [`${name}/bad`]: good,
      [`${name}/c`]: `another c${count}`,
    });
    await penstock.addRepository(name, { url: upstream.url, max_retries: 1 });
  });
  afterEach(async () => {
    diskIsFull = false;
    await upstream.stop();
  });

  /** Upstream is mended: the next sync asks for the bad file alone, and completes the version that was begun. */
  async function expectMended(): Promise<void> {
    upstream.misbehave.clear();
    upstream.forget();
    await expect(penstock.sync(name)).resolves.toMatchObject({ version: 1, added: 3, present: 3 });
    expect(upstream.downloads).toEqual([`${name}/bad`]);
  }

  it('as it trickles, is given up when its time is over', async () => {
    await penstock.sql('update remotes set total_timeout = 0.5, max_retries = 0 where name = $1', [name]);
    upstream.misbehave.set(`${name}/bad`, trickle);
    const failed = await failSync(penstock, name);
    expect(failed).toMatchObject({ type: 'SyncIncomplete', transient: true });
    expect(failed.message).toContain('the download took longer than 0.5 s (total_timeout) (1 attempt)');
    await expectMended();
  });

  it('fails for good where one of several will not be well by itself', async () => {
    upstream.misbehave.set(`${name}/bad`, (_, response) => response.writeHead(404).end());
    upstream.misbehave.set(`${name}/c`, (_, response) => response.writeHead(503).end());
    const failed = await failSync(penstock, name);
    expect(failed).toMatchObject({ type: 'SyncIncomplete', transient: false, details: { failures: 2 } });
    expect(failed.message).toContain('the server answered 404 (1 attempt)');
    expect(failed.message).toContain('the server answered 503 (2 attempts)');
  });

  it('names ten of many with long names, and says how many more there are', async () => {
    for (const [path, content] of Object.entries(numberedFiles(30, `${name}${'/long'.repeat(100)}`))) {
      upstream.put(path, content);
      upstream.misbehave.set(path, (_, response) => response.writeHead(410).end());
    }
    const failed = await failSync(penstock, name);
    expect(failed.details).toMatchObject({ failures: 30 });
    expect(failed.message.match(/the server answered 410 \(1 attempt\)/g)).toHaveLength(10);
    expect(failed.message).toMatch(
      /\nand 20 more: "penstock sync failures \d+"\nSync the repository again to try just these, or allow them to be missing \(--allow-missing\)\.$/,
    );
  });

  it('where the disk is full, pauses and says so at once, and fetches only the rest once there is room', async () => {
    // The first file fits, and nothing that comes later.
    upstream.misbehave.set(`${name}/bad`, (_, response) => {
      setTimeout(() => {
        diskIsFull = true;
        response.end(good);
      }, 200);
    });
    upstream.misbehave.set(`${name}/c`, (_, response) => {
      setTimeout(() => response.end(`another c${count}`), 300);
    });
    const sync = await penstock.startSync(name);
    const reason = await reasonOfPause();
    expect(reason).toContain(`No space is left in ${penstock.storageDir}`);
    expect(reason).toContain('Free space there');
    expect(fs.readdirSync(`${penstock.storageDir}/tmp`)).toEqual([]);

    diskIsFull = false;
    upstream.misbehave.clear();
    upstream.forget();
    await sync.executeUpdate(resume);
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 3 });
    expect([...upstream.downloads].sort()).toEqual([`${name}/bad`, `${name}/c`]);
  });

  it('where the disk is full already for the manifest, pauses and says so', async () => {
    diskIsFull = true;
    const sync = await penstock.startSync(name);
    expect(await reasonOfPause()).toContain('No space is left in');
    diskIsFull = false;
    await sync.executeUpdate(resume);
    await expect(penstock.resultOf(sync)).resolves.toMatchObject({ version: 1, added: 3, downloaded: 3 });
  });

  /** Waits until the sync of the repository is paused. */
  async function reasonOfPause(): Promise<string> {
    const find = () =>
      penstock.sql<{ reason: string }>(
        `select sync.paused->>'reason' as reason
           from syncs sync join repositories repository on repository.id = sync.repository_id
          where repository.name = $1 and sync.paused is not null`,
        [name],
      );
    await eventually('it is paused', async () => (await find()).length > 0);
    return (await find())[0]?.reason ?? '';
  }
});
