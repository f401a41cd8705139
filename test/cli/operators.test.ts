import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';

import { FileRepository, numberedFiles } from '../harness/file-repository';
import { eventually } from '../harness/penstock';
import { PenstockCommand } from './penstock-command';
import type { RunningCommand } from './penstock-command';

jest.setTimeout(120_000);

/** Of this run alone: all tests share one Temporal, and with it the ids of workflows. */
const files = `files-${randomBytes(4).toString('hex')}`;
const workflowId = `sync/${files}`;
let penstock: PenstockCommand;
let upstream: FileRepository;

beforeAll(async () => {
  penstock = await PenstockCommand.withGivenServices();
  upstream = await FileRepository.start(numberedFiles(20));
  await penstock.json('migrate');
  await penstock.start(['worker']).printed('polls task queue');
});

afterAll(async () => {
  await penstock.remove();
  await upstream.stop();
});

/** Follows a sync that hangs at its last download until that is let go. */
async function hang(path: string): Promise<{ following: RunningCommand; go: () => void }> {
  const waiting: (() => void)[] = [];
  upstream.put(path, path);
  upstream.misbehave.set(path, (_request, response) => {
    waiting.push(() => response.destroy());
  });
  const following = penstock.start(['sync', files, '--url', upstream.url]);
  await eventually('it hangs', () => waiting.length > 0, 60_000);
  return {
    following,
    go: () => {
      upstream.misbehave.delete(path);
      for (const go of waiting) go();
    },
  };
}

const linesOf = (text: string) => text.trimEnd().split('\n');

describe('the operators of a sync', () => {
  it('pause it, change its limits and resume it, and who follows it is told', async () => {
    const { following, go } = await hang('held.txt');
    const paused = await penstock.run(['sync', 'pause', files, '--reason', 'the mirror moves']);
    expect(paused).toMatchObject({
      status: 0,
      stdout: `The sync of "${files}" is paused. It goes on with: penstock sync resume ${files}\n`,
    });
    await following.printed(`Paused: the mirror moves. It goes on with: penstock sync resume ${files}`);
    const [again, document, quiet] = await Promise.all([
      penstock.run(['sync', 'pause', files, '--reason', 'lunch']),
      penstock.json('sync', 'pause', files),
      penstock.run(['sync', 'pause', files, '--detach', '--quiet']),
    ]);
    expect(again.stdout).toContain('is paused already, for another reason (the mirror moves).');
    expect(document).toMatchObject({ repository: files, workflowId, state: 'paused', reason: 'the mirror moves' });
    expect(quiet).toEqual({ status: 0, stdout: '', stderr: '' });

    const [listed, running, shown, retried] = await Promise.all([
      penstock.json('sync', 'list', '--state', 'paused'),
      penstock.run(['sync', 'list', '--state', 'running', '--quiet']),
      penstock.run(['sync', 'show', files]),
      penstock.run(['sync', 'retry', files]),
    ]);
    expect(listed).toMatchObject({ syncs: [{ repository: files, state: 'paused' }] });
    expect(running.stdout).toBe('');
    expect(shown.stdout).toMatch(/state +paused\n/);
    expect(shown.stdout).toMatch(/paused +since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d: the mirror moves\n/);
    expect(retried.stdout).toContain('again, once it is resumed.');

    go();
    expect(await penstock.json('sync', 'resume', files)).toMatchObject({ repository: files, state: 'running' });
    await following.printed('Resumed.');
    const { status, stdout } = await following.ended();
    expect(stdout).toContain('version 1: 21 added');
    expect(status).toBe(0);
  });

  it('change what it may ask of upstream', async () => {
    const { following, go } = await hang('limited.txt');
    expect(
      await penstock.run(['sync', 'limit', files, '--download-concurrency', '3', '--rate-limit', '50']),
    ).toMatchObject({
      status: 0,
      stdout: `The sync of "${files}" may make 3 requests at once, with 50 requests a second.\n`,
    });
    expect(await penstock.json('sync', 'limit', files, '--unset', 'rate-limit')).toMatchObject({
      ...{ repository: files, workflowId, limits: { downloadConcurrency: 3, rateLimit: null } },
    });
    const limits = async () => (await penstock.json('sync', 'show', files)).limits;
    await eventually('it is noted', async () => JSON.stringify(await limits()).includes('"rateLimit":null'));
    go();
    expect((await following.ended()).status).toBe(0);
    expect(await limits()).toBeNull();
  });

  it('list what it could not have, and try just that again; or do without it', async () => {
    for (const path of ['gone-1.txt', 'gone-2.txt']) {
      upstream.put(path, path);
      upstream.misbehave.set(path, (_request, response) => response.writeHead(404).end());
    }
    for (const allowed of ['1', '5%']) {
      const refused = await penstock.run(['sync', files, '--allow-missing', allowed]);
      expect(refused.stderr).toContain('2 of 24 contents are missing; 1 may be.');
      expect(refused.status).toBe(1);
    }
    const listed = await penstock.run(['sync', 'failures', files]);
    expect(listed.stdout).toMatch(
      /^gone-1\.txt: Could not download http\S+gone-1\.txt: the server answered 404 \(1 attempt\)\ngone-2\.txt: /,
    );
    expect(linesOf((await penstock.run(['sync', 'failures', files, '--quiet'])).stdout)).toEqual([
      'gone-1.txt',
      'gone-2.txt',
    ]);
    expect(await penstock.json('sync', 'failures', files, '--limit', '1')).toMatchObject({
      ...{ repository: files, failureCount: 2, failures: [{ path: 'gone-1.txt', status: 404, transient: false }] },
    });

    upstream.misbehave.delete('gone-1.txt');
    upstream.forget();
    const retried = await penstock.run(['sync', 'retry', files]);
    expect(retried.stderr).toContain('1 could not be had');
    expect(retried.status).toBe(1);
    expect([...upstream.requests].sort()).toEqual(['gone-1.txt', 'gone-2.txt']);

    const without = await penstock.run(['sync', files, '--allow-missing', '3']);
    expect(without.stdout).toContain('version 3: 1 added, 0 removed, 23 present');
    expect(without.stderr).toContain(`1 content could not be had and is missing; the next sync tries again.`);
    expect(without.status).toBe(0);
    expect((await penstock.run(['sync', 'show', files])).stdout).toMatch(/missing +1 content\n/);

    upstream.misbehave.clear();
    expect((await penstock.run(['sync', 'retry', files])).stdout).toContain('version 4: 1 added');
    expect((await penstock.run(['sync', 'failures', files])).stdout).toMatch(/^Nothing is missing from sync \d+\.\n$/);
    expect(await penstock.json('sync', 'retry', files)).toMatchObject({ state: 'completed', failureCount: 0 });
  });

  it('are told what makes no sense', async () => {
    const nobody = `Repository "${files}" is not being synced. Sync it: penstock sync ${files}\n`;
    const asked = [
      ['pause', files],
      ['resume', files],
      ['limit', files, '--rate-limit', '5'],
    ];
    for (const ended of await Promise.all(asked.map((args) => penstock.run(['sync', ...args])))) {
      expect(ended).toEqual({ status: 1, stdout: '', stderr: nobody });
    }
    const document = await penstock.run(['sync', 'pause', files, '--json']);
    expect(JSON.parse(document.stdout)).toMatchObject({
      error: { type: 'NotSyncing', details: { repository: files } },
    });
    expect((await penstock.run(['sync', 'pause', 'nowhere'])).stderr).toContain('There is no repository "nowhere".');
    expect((await penstock.run(['sync', 'limit', files])).stderr).toContain('Say what to change');
    const usage = [
      ['limit', files],
      ['limit', files, '--download-concurrency', '0'],
      [files, '--allow-missing', '101%'],
      [files, '--allow-missing', 'some'],
    ];
    const ends = await Promise.all(usage.map((args) => penstock.run(['sync', ...args])));
    expect(ends.map(({ status }) => status)).toEqual(usage.map(() => 2));
  });

  it('are told what a sync waits for', async () => {
    let asked = 0;
    upstream.put('busy.txt', 'busy');
    upstream.misbehave.set('busy.txt', (_request, response) => {
      asked += 1;
      if (asked > 1) upstream.misbehave.delete('busy.txt');
      response.writeHead(429, { 'retry-after': '8' }).end();
    });
    const following = penstock.start(['sync', files]);
    const { host } = new URL(upstream.origin);
    await following.printed(`Waiting for ${host}: the server answered 429`);
    expect((await penstock.run(['sync', 'show', files])).stdout).toMatch(
      new RegExp(`waits +${host}: the server answered 429[^\\n]*, until \\d\\d:\\d\\d:\\d\\d\n`),
    );
    const { status, stderr } = await following.ended();
    expect(stderr).toMatch(/Waiting for \S+: the server answered 429[^\n]*, until \d\d:\d\d:\d\d\n/);
    expect(status).toBe(0);
    expect((await penstock.json('sync', 'show', files)).waits).toEqual([]);
  });
});

describe('penstock drain', () => {
  it('pauses what runs and refuses what would begin, until penstock undrain', async () => {
    const { following, go } = await hang('drained.txt');
    const drained = await penstock.run(['drain']);
    expect(drained.stdout).toMatch(new RegExp(`WORKFLOW +STATE +REASON *\n${workflowId} +paused +drain`));
    expect(drained.stdout).toContain('Drained, since ');
    expect(drained.status).toBe(0);
    await following.printed('Paused: drain. It goes on with: penstock undrain');

    const refused = [
      ['sync', 'another', '--url', upstream.url],
      ['sync', files],
      ['sync', 'retry', files],
      ['sync', 'resume', files],
      ['repair'],
      ['clean'],
    ];
    for (const { status, stderr } of await Promise.all(refused.map((args) => penstock.run(args)))) {
      expect(stderr).toMatch(/^Penstock is drained, since .*: penstock undrain\n$/);
      expect(status).toBe(3);
    }
    for (const command of [['sync', 'list'], ['check']]) {
      const { stderr } = await penstock.run(command);
      expect(stderr).toMatch(/^Penstock is drained, since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d: .*: penstock undrain\n/);
    }
    expect((await penstock.json<{ repositories: unknown[] }>('repository', 'list')).repositories).toHaveLength(1);
    expect((await penstock.run(['drain', '--quiet'])).stdout).toBe(`${workflowId}\n`);
    expect(await penstock.json('drain')).toMatchObject({
      ...{ drained: true, workflows: [{ workflowId, state: 'paused', reason: 'drain' }] },
    });

    go();
    expect((await penstock.run(['undrain'])).stdout).toMatch(
      new RegExp(`${workflowId} +resumed *\n\nNo longer drained: everything may begin to work.\n`),
    );
    expect((await following.ended()).status).toBe(0);
    expect((await penstock.run(['undrain'])).stdout).toBe('Penstock is not drained.\n');
    expect(await penstock.json('undrain')).toEqual({ drained: false, workflows: [] });
  });

  it('gives up in time, and says how to go on', async () => {
    const { following, go } = await hang('slow.txt');
    const late = await penstock.run(['drain', '--timeout', '0s']);
    expect(late.stderr).toContain(`${workflowId}: still at work after 0 s.`);
    expect(late.status).toBe(3);
    go();
    await penstock.run(['undrain', '--quiet']);
    expect((await following.ended()).status).toBe(0);
  });
});
