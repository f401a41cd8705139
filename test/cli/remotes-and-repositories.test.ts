import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { PenstockCommand, program } from './penstock-command';

const url = 'http://127.0.0.1:9/PULP_MANIFEST';
let penstock: PenstockCommand;

beforeAll(async () => {
  penstock = await PenstockCommand.withGivenServices();
});

afterAll(async () => {
  await penstock.remove();
});

describe('penstock migrate', () => {
  it('is what a command names while migrations are missing', async () => {
    const { status, stderr } = await penstock.run(['remote', 'list']);
    expect(stderr).toMatch(/^The database at .* lacks \d+ of this version's migrations .* penstock migrate\n$/);
    expect(stderr).not.toContain(new URL(penstock.env.DATABASE_URL ?? '').password);
    expect(status).toBe(1);
  });

  it('applies them, once', async () => {
    const first = await penstock.json<{ migrations: string[] }>('migrate');
    expect(first.migrations).toContain('0001-content-and-versions');
    expect(await penstock.json('migrate')).toMatchObject({ migrations: [], searchAttributes: [] });
  });
});

describe('penstock remote', () => {
  it('never shows a secret, wherever it came from', async () => {
    await writeFile(join(penstock.folder, 'headers'), 'X-Token: header-secret\n');
    const created = await penstock.run(
      ['remote', 'create', 'secretive', '--url', url, '--username', 'name-secret', '--password-file', '-'].concat([
        ...['--proxy-url', 'http://proxy.test:3128', '--proxy-username', 'proxy-name'],
        ...['--proxy-password-env', 'PROXY_PASSWORD', '--header', '@headers', '--json'],
      ]),
      { stdin: 'stdin-secret\n', env: { PROXY_PASSWORD: 'proxy-secret', PENSTOCK_LOG_LEVEL: 'trace' } },
    );
    expect(created.status).toBe(0);
    expect(JSON.parse(created.stdout)).toMatchObject({
      ...{ name: 'secretive', type: 'file', url, policy: 'immediate', proxyUrl: 'http://proxy.test:3128' },
      ...{
        username: 'set',
        password: 'set',
        proxyUsername: 'set',
        proxyPassword: 'set',
        headers: 'set',
        clientKey: null,
      },
    });
    const shown = await penstock.run(['remote', 'show', 'secretive']);
    for (const { stdout, stderr } of [created, shown]) expect(stdout + stderr).not.toMatch(/-secret|proxy-name/);
  });

  it('updates fields, says what has changed, and unsets', async () => {
    const updated = await penstock.run([
      'remote',
      'update',
      'secretive',
      '--policy',
      'on_demand',
      '--rate-limit',
      '20',
      '--unset',
      'headers',
    ]);
    expect(updated.stdout.split('\n')).toEqual([
      'Remote "secretive": policy immediate → on_demand',
      'Remote "secretive": rate limit none → 20',
      'Remote "secretive": headers set → none',
      '',
    ]);
    expect(await penstock.json('remote', 'update', 'secretive', '--rate-limit', '20')).toMatchObject({
      changed: [],
      remote: { rateLimit: 20, headers: null, password: 'set' },
    });
  });

  it.each([
    [['--url', 'ftp://host/x'], 'url: ftp://host/x: the scheme "ftp" is none of http, https, file.'],
    [['--url', 'http://me:hunter2@host/x'], 'the url has credentials inside; set them on the remote instead'],
    [['--url', url, '--type', 'nope'], 'There is no plugin "nope"; the plugins here are: file.'],
    [['--url', url, '--policy', 'nope'], 'Allowed choices are immediate, on_demand, streamed.'],
    [['--url', url, '--max-retries', '-1'], 'Expected a whole number from 0 to 100.'],
    [['--url', url, '--password-env', 'NOT_SET', '--username', 'me'], 'the environment variable NOT_SET is not set'],
    [['--url', url, '--ca-cert', 'missing.pem'], '--ca-cert: missing.pem cannot be read'],
    [['--url', url, '--nope'], "unknown option '--nope'"],
  ])('refuses %j with status 2', async (options, message) => {
    const { status, stderr, stdout } = await penstock.run(['remote', 'create', 'refused', ...options]);
    expect(stderr).toContain(message);
    expect(stderr + stdout).not.toContain('hunter2');
    expect(status).toBe(2);
  });

  it('refuses names that would mean something else', async () => {
    const { status, stderr } = await penstock.run(['remote', 'create', 'a/b', '--url', url]);
    expect(stderr).toBe('name of a remote: it has a slash or a backslash; found "a/b".\n');
    expect(status).toBe(2);
  });
});

describe('colours', () => {
  it('are for terminals, and never there with NO_COLOR', async () => {
    const bold = '\u001b[1m';
    expect((await penstock.run(['remote', 'list'])).stdout).not.toContain(bold);
    // script(1) makes a terminal. A CI's variable would say that its terminals have no colours.
    const env = Object.fromEntries(Object.entries(penstock.env).filter(([name]) => name !== 'CI'));
    const inTerminal = (more: Record<string, string>) =>
      spawnSync('script', ['-qec', `'${process.execPath}' '${program}' remote list`, '/dev/null'], {
        env: { ...env, TERM: 'xterm-256color', ...more },
      });
    expect(inTerminal({}).error).toBeUndefined();
    expect(inTerminal({}).stdout.toString()).toContain(bold);
    expect(inTerminal({ NO_COLOR: '1' }).stdout.toString()).not.toContain(bold);
    expect(inTerminal({ NO_COLOR: '1' }).stdout.toString()).toContain('secretive');
  });
});

describe('penstock repository', () => {
  it('is created with version 0, shown, listed, given another remote, and deleted', async () => {
    expect(await penstock.json('repository', 'create', 'böök shelf', '--remote', 'secretive')).toMatchObject({
      name: 'böök shelf',
      remote: 'secretive',
      latestVersion: 0,
      incompleteVersion: null,
    });
    expect(await penstock.json('version', 'show', 'böök shelf')).toMatchObject({ number: 0, present: 0, types: {} });
    expect((await penstock.run(['content', 'list', 'böök shelf'])).stdout).toBe('');
    expect((await penstock.run(['repository', 'list', '--quiet'])).stdout).toBe('böök shelf\n');

    const inUse = await penstock.run(['remote', 'delete', 'secretive']);
    expect(inUse.stderr).toContain('Remote "secretive" is that of "böök shelf".');
    expect(inUse.status).toBe(1);

    expect(await penstock.json('repository', 'update', 'böök shelf', '--no-remote')).toMatchObject({ remote: null });
    expect(await penstock.json('remote', 'delete', 'secretive')).toEqual({ deleted: 'secretive' });
    expect(await penstock.json('repository', 'delete', 'böök shelf')).toEqual({ deleted: 'böök shelf' });
    expect(await penstock.json('repository', 'list')).toEqual({ repositories: [] });
  });

  it('says what is not there, with status 1', async () => {
    const { status, stdout } = await penstock.run(['repository', 'show', 'nope', '--json']);
    expect(JSON.parse(stdout)).toEqual({
      error: {
        type: 'RepositoryNotFound',
        message: 'There is no repository "nope". "penstock repository list" shows those that there are.',
        transient: false,
        details: { repository: 'nope' },
      },
    });
    expect(status).toBe(1);
  });
});
