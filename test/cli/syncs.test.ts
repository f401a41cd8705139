import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Connection, WorkflowClient } from '@temporalio/client';

import { FileRepository, numberedFiles } from '../harness/file-repository';
import { PenstockCommand, events } from './penstock-command';
import type { RunningCommand } from './penstock-command';

/** Of this run alone: all tests share one Temporal, and with it the ids of workflows. */
const files = `files-${randomBytes(4).toString('hex')}`;
let penstock: PenstockCommand;
let upstream: FileRepository;
let worker: RunningCommand;

beforeAll(async () => {
  penstock = await PenstockCommand.withGivenServices();
  upstream = await FileRepository.start(numberedFiles(20));
  await penstock.json('migrate');
  worker = penstock.start(['worker']);
  await worker.printed('polls task queue');
});

afterAll(async () => {
  await penstock.remove();
  await upstream.stop();
});

/** Lets the sync of a repository hang at its first download, until the returned function is called. */
function holdDownloads(): () => void {
  const waiting: (() => void)[] = [];
  upstream.put('held.txt', `held ${Math.random()}`);
  const content = upstream.lineOf('held.txt');
  upstream.misbehave.set('held.txt', (_request, response) => {
    waiting.push(() => response.destroy());
  });
  expect(content).toContain('held.txt');
  return () => {
    upstream.misbehave.delete('held.txt');
    for (const go of waiting) go();
  };
}

describe('penstock sync', () => {
  it('creates repository and remote, syncs, and sums up', async () => {
    const { status, stdout, stderr } = await penstock.run(['sync', files, '--url', upstream.url, '--max-retries', '1']);
    expect(stderr).toContain(`Created repository "${files}".\nCreated remote "${files}".\n`);
    expect(stdout).toMatch(
      /^\S+: version 1: 20 added, 0 removed, 20 present\nDownloaded 20 files, 290 B; took [\d.]+ s\.\n$/,
    );
    expect(status).toBe(0);
  });

  it('says that nothing has changed', async () => {
    expect((await penstock.run(['sync', files])).stdout).toMatch(
      /^\S+: skipped, no change from previous sync; version 1 stays, 20 present\nDownloaded 0 files, 0 B;/,
    );
    expect((await penstock.run(['sync', files, '--no-optimize'])).stdout).toMatch(/^\S+: no change; version 1 stays,/);
  });

  it('updates the remote, mirrors, and prints events', async () => {
    upstream.remove('file-00000.txt');
    const { status, stdout, stderr } = await penstock.run([
      'sync',
      files,
      '--mirror',
      '--download-concurrency',
      '5',
      '--json',
    ]);
    expect(stderr).toContain(`Remote "${files}": download concurrency 10 → 5`);
    const printed = events(stdout);
    expect(printed[0]).toMatchObject({ event: 'started', workflowId: `sync/${files}`, attached: false });
    expect(printed.at(-2)).toMatchObject({ event: 'progress' });
    expect(printed.at(-1)).toMatchObject({
      ...{ event: 'result', repository: files, version: 2, changed: true, skipped: false },
      ...{ added: 0, removed: 1, present: 19, downloaded: 0, sync: { state: 'completed', mode: 'mirror' } },
    });
    expect(status).toBe(0);
  });

  it('refuses a second sync and names the first one; attaches to it when asked', async () => {
    const go = holdDownloads();
    const first = await penstock.run(['sync', files, '--detach', '--json']);
    expect(first.status).toBe(0);
    const { runId } = JSON.parse(first.stdout) as { runId: string };

    const second = await penstock.run(['sync', files]);
    expect(second.stderr).toContain(`(workflow sync/${files}, run ${runId}).`);
    expect(second.stderr).toContain(`penstock sync ${files} --attach`);
    expect(second.status).toBe(3);

    const moved = await penstock.run(['sync', files, '--url', 'http://moved.example/PULP_MANIFEST']);
    expect(moved.stderr).toContain(`(workflow sync/${files}, run ${runId}).`);
    expect(moved.stderr).not.toContain('moved.example');
    expect(await penstock.json('remote', 'show', files)).toMatchObject({ url: upstream.url });

    const attached = penstock.start([
      'sync',
      files,
      '--attach',
      '--json',
      '--url',
      'http://moved.example/PULP_MANIFEST',
    ]);
    await attached.printed('"event":"started"');
    expect(await penstock.json('remote', 'show', files)).toMatchObject({ url: upstream.url });
    expect(await penstock.json('sync', 'show', files)).toMatchObject({ state: 'running', runId, failures: [] });
    const deletion = await penstock.run(['repository', 'delete', files]);
    expect(deletion.stderr).toContain(`Repository "${files}" is being synced and cannot be deleted.`);
    expect((await penstock.run(['sync', 'discard', files])).stderr).toContain(
      'is being synced and cannot be discarded',
    );

    go();
    const { status, stdout, stderr } = await attached.ended();
    expect(stderr).toContain('The remote stays as it is while its sync runs.');
    expect(events(stdout)[0]).toMatchObject({ attached: true, runId });
    expect(events(stdout).at(-1)).toMatchObject({ event: 'result', version: 3, added: 1 });
    expect(status).toBe(0);
  });

  it('lets go of a sync at Ctrl-C, which can then be canceled and goes on later', async () => {
    const go = holdDownloads();
    const watching = penstock.start(['sync', files]);
    await watching.printed('Parsing Metadata');
    const { status, stderr } = await watching.signal('SIGINT');
    expect(stderr).toContain(`The sync of "${files}" goes on without this command.`);
    expect(stderr).toContain(`penstock sync cancel ${files}`);
    expect(status).toBe(3);

    expect(await penstock.json('sync', 'cancel', files)).toMatchObject({ state: 'canceled' });
    expect(await penstock.json('sync', 'show', files)).toMatchObject({ state: 'canceled', incompleteVersion: 4 });
    expect((await penstock.run(['repository', 'show', files])).stdout).toMatch(
      /incomplete version +4, begun by a sync/,
    );
    expect((await penstock.run(['version', 'show', files, '4'])).stderr).toContain(
      'has no complete version 4: a sync has begun it',
    );

    go();
    expect((await penstock.run(['sync', files, '--quiet'])).stdout).toBe('');
    expect(await penstock.json('version', 'show', files)).toMatchObject({ number: 4, present: 20 });
  });

  it('names what is missing, ends with 1, shows it later, and can be discarded', async () => {
    upstream.put('gone.txt', 'gone');
    upstream.misbehave.set('gone.txt', (_request, response) => response.writeHead(404).end());
    const failed = await penstock.run(['sync', files, '--json']);
    expect(events(failed.stdout).at(-1)).toMatchObject({
      event: 'error',
      error: { type: 'SyncIncomplete', transient: false },
      sync: { state: 'failed', incompleteVersion: 5 },
      failures: [{ path: 'gone.txt', url: `${upstream.origin}/gone.txt`, transient: false }],
      total: 1,
    });
    expect(failed.status).toBe(1);

    const again = await penstock.run(['sync', files]);
    expect(again.stderr).toMatch(/Repository "\S+": 1 could not be had, [^]*gone\.txt: .*404/);
    expect(again.status).toBe(1);

    const shown = await penstock.run(['sync', 'show', files]);
    expect(shown.stdout).toMatch(/state +failed/);
    expect(shown.stdout).toMatch(
      /^gone\.txt: Could not download http.*gone\.txt: the server answered 404 \(1 attempt\)$/m,
    );
    expect(await penstock.json('sync', 'discard', files)).toMatchObject({ discarded: { version: 5 } });
    expect(await penstock.json('sync', 'discard', files)).toMatchObject({ discarded: null });
  });

  it('ends with 3 where the same command again may succeed', async () => {
    upstream.misbehave.set('gone.txt', (_request, response) => response.writeHead(503).end());
    const { status, stderr } = await penstock.run(['sync', files, '--max-retries', '0']);
    expect(stderr).toContain('503');
    expect(status).toBe(3);
    upstream.remove('gone.txt');
    expect((await penstock.run(['sync', files, '--discard'])).stderr).toContain(
      'Threw away version 5, which was not complete.',
    );
  });

  it('shows a sync whose workflow was terminated as interrupted, and discards it', async () => {
    const go = holdDownloads();
    await penstock.run(['sync', files, '--detach']);
    while ((await penstock.run(['sync', 'list', '--state', 'running', '--quiet'])).stdout === '') continue;
    const connection = await Connection.connect({ address: penstock.env.TEMPORAL_ADDRESS ?? '' });
    await new WorkflowClient({ connection }).getHandle(`sync/${files}`).terminate();
    await connection.close();
    go();
    expect(await penstock.json('sync', 'show', files)).toMatchObject({ state: 'interrupted', incompleteVersion: 5 });
    expect((await penstock.run(['sync', 'cancel', files])).stderr).toContain('is not being synced');
    expect(await penstock.json('sync', 'discard', files)).toMatchObject({ discarded: { version: 5 } });
    upstream.remove('held.txt');
  });

  it('needs a url for what does not exist', async () => {
    const { status, stderr } = await penstock.run(['sync', 'nowhere']);
    expect(stderr).toContain('There is no repository "nowhere". To create it, say where to sync it from: --url URL.');
    expect(status).toBe(1);
  });
});

describe('penstock sync list', () => {
  it('lists the newest first, and by state', async () => {
    const { syncs } = await penstock.json<{ syncs: { id: string; state: string }[] }>(
      'sync',
      'list',
      '--repository',
      files,
    );
    expect(syncs.length).toBeGreaterThanOrEqual(6);
    const ids = syncs.map(({ id }) => Number(id));
    expect(ids).toEqual([...ids].sort((a, b) => b - a));
    const discarded = await penstock.run(['sync', 'list', '--state', 'discarded', '--quiet']);
    expect(discarded.stdout.trim().split('\n')).toHaveLength(3);
  });
});

describe('penstock content', () => {
  it('lists page by page, and shows one', async () => {
    const first = events((await penstock.run(['content', 'list', files, '--limit', '2', '--json'])).stdout);
    expect(first).toHaveLength(2);
    const rest = events(
      (await penstock.run(['content', 'list', files, '--after', String(first[1]?.id), '--json'])).stdout,
    );
    expect(rest).toHaveLength(18);
    expect(rest.at(-1)).toMatchObject({ type: 'file.file', files: [{ stored: true }] });
    const old = (await penstock.run(['content', 'list', files, '--version', '1'])).stdout;
    expect(old.trim().split('\n')).toHaveLength(20);
    expect(await penstock.json('content', 'show', String(first[0]?.id))).toMatchObject({
      fields: { relativePath: 'file-00001.txt' },
      versions: [`${files}, from version 1 on`],
    });
  });
});

describe('penstock worker', () => {
  it('says where it is connected, and drains at SIGTERM', async () => {
    expect(worker.stdout).not.toContain(new URL(penstock.env.DATABASE_URL ?? '').password);
    const { status, stderr } = await worker.signal('SIGTERM');
    expect(stderr).toContain('The worker stops.');
    expect(status).toBe(0);
  });
});
