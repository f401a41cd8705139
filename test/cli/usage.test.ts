import { spawnSync } from 'node:child_process';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { PenstockCommand, program } from './penstock-command';

let penstock: PenstockCommand;

beforeAll(async () => {
  penstock = await PenstockCommand.withNothing({});
});

afterAll(async () => {
  await penstock.remove();
});

it('prints help into a pipe that is closed early', () => {
  const shell = `${process.execPath} ${program} sync --help | true; exit \${PIPESTATUS[0]}`;
  const { status, stderr } = spawnSync('bash', ['-c', shell], { env: { ...process.env, ...penstock.env } });
  expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: '' });
});

it('shows help with examples for every command', async () => {
  const { stdout } = await penstock.run(['--help']);
  const commands = [
    'sync',
    'up',
    'remote',
    'repository',
    'version',
    'content',
    'check',
    'worker',
    'migrate',
    'replay',
    'completion',
  ];
  for (const command of commands) expect(stdout).toContain(`\n  ${command} `);
  const helps = await Promise.all(
    [
      ['sync'],
      ['sync', 'show'],
      ['up'],
      ['remote', 'create'],
      ['content', 'list'],
      ['check'],
      ['replay'],
      ['completion'],
    ].map((path) => penstock.run([...path, '--help'])),
  );
  for (const { stdout: help, status } of helps) {
    expect(help).toMatch(/\nExamples:\n {2}\$ /);
    expect(status).toBe(0);
  }
});

it.each([
  [['nope'], "unknown command 'nope'"],
  [['sync', 'list', '--nope'], "unknown option '--nope'"],
  [['sync'], "missing required argument 'name'"],
  [['sync', 'list', '--limit', 'many'], 'Expected a whole number'],
  [['sync', 'x', '--attach', '--discard'], 'contradict each other'],
  [['check', '--older-than', 'x'], 'Expected a whole number'],
  [['content', 'show', 'x'], 'The id of a content is a number; found "x".'],
])('ends with 2 for %j', async (args, message) => {
  const { status, stderr } = await penstock.run(args);
  expect(stderr).toContain(message);
  expect(status).toBe(2);
});

it('names a setting that cannot be used, with 2', async () => {
  const { status, stderr } = await penstock.run(['sync', 'list'], { env: { PENSTOCK_POSTGRES_PORT: 'x' } });
  expect(stderr).toBe('PENSTOCK_POSTGRES_PORT must be a port from 1 to 65535; found "x".\n');
  expect(status).toBe(2);
});

it('says where a database is that does not answer, without the password, with 3', async () => {
  const { status, stderr } = await penstock.run(['sync', 'list'], {
    env: { DATABASE_URL: 'postgres://me:hunter2@127.0.0.1:9/content', TEMPORAL_ADDRESS: '127.0.0.1:9' },
  });
  expect(stderr).toMatch(/^PostgreSQL at 127\.0\.0\.1:9\/content cannot be reached .*\n$/);
  expect(stderr).not.toContain('hunter2');
  expect(status).toBe(3);
});

it('says that nothing runs where that is needed', async () => {
  for (const args of [['worker'], ['sync', 'files', '--detach']]) {
    const { status, stderr } = await penstock.run(args);
    expect(stderr).toContain('needs running services, and none were found. Start them with "penstock up"');
    expect(status).toBe(1);
  }
});

it.each(['bash', 'zsh', 'fish'])('completes in %s', async (shell) => {
  const { status, stdout } = await penstock.run(['completion', shell]);
  expect(stdout).toContain('penstock complete');
  expect(status).toBe(0);
});

it('completes commands and choices', async () => {
  expect((await penstock.run(['complete', '--', 'sync', 'dis'])).stdout).toContain('discard\t');
  expect((await penstock.run(['complete', '--', 'remote', 'create', 'x', '--policy', ''])).stdout).toContain(
    'on_demand',
  );
});
