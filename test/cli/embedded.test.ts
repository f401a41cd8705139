import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { delimiter, dirname } from 'node:path';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { findProcesses } from '../../src/embedded/process-table';
import { FileRepository, numberedFiles } from '../harness/file-repository';
import { PenstockCommand } from './penstock-command';

let penstock: PenstockCommand;
let upstream: FileRepository;

beforeAll(async () => {
  upstream = await FileRepository.start(numberedFiles(10));
  const [postgres, temporal, ui] = await freePorts(3);
  penstock = await PenstockCommand.withNothing({
    PENSTOCK_POSTGRES_PORT: String(postgres),
    PENSTOCK_TEMPORAL_PORT: String(temporal),
    PENSTOCK_TEMPORAL_UI_PORT: String(ui),
    PATH: [dirname(process.env.PENSTOCK_TEST_TEMPORAL_CLI ?? ''), process.env.PATH ?? ''].join(delimiter),
  });
});

afterAll(async () => {
  await penstock.remove();
  await upstream.stop();
});

it('syncs with nothing running, and leaves nothing running', async () => {
  const { status, stdout } = await penstock.run(['sync', 'files', '--url', upstream.url]);
  expect(stdout).toMatch(/^files: version 1: 10 added, 0 removed, 10 present\n/);
  expect(status).toBe(0);
  expect(await servers()).toEqual([]);
});

it('stops cleanly at Ctrl-C and goes on where it stopped', async () => {
  upstream.put('slow.txt', 'slow');
  upstream.misbehave.set('slow.txt', () => undefined);
  const interrupted = penstock.start(['sync', 'files']);
  await interrupted.printed('Parsing Metadata');
  const { status, stderr } = await interrupted.signal('SIGINT');
  expect(stderr).toContain('It goes on where it stopped: penstock sync files');
  expect(status).toBe(3);
  expect(await servers()).toEqual([]);
  upstream.misbehave.clear();
  expect((await penstock.run(['sync', 'files'])).stdout).toMatch(/^files: version 2: 1 added/);
});

it('does what it is asked for after a kill, not what the killed command was asked for', async () => {
  upstream.put('other.txt', 'other');
  upstream.remove('slow.txt');
  upstream.misbehave.set('other.txt', () => undefined);
  const killed = penstock.start(['sync', 'files']);
  await killed.printed('Parsing Metadata');
  await killed.signal('SIGKILL');
  upstream.misbehave.clear();
  const { stdout, status } = await penstock.run(['sync', 'files', '--mirror']);
  expect(stdout).toMatch(/^files: version 3: 1 added, 1 removed, 11 present\n/);
  expect(status).toBe(0);
  expect(await servers()).toEqual([]);
});

it('is found by other commands while it is up, taken over when it is killed, and stops at SIGTERM', async () => {
  const up = penstock.start(['up']);
  await up.printed('Ready.');
  expect(up.stdout).toMatch(
    /^PostgreSQL +127\.0\.0\.1:\d+\/\S+\nTemporal +127\.0\.0\.1:\d+\nWeb UI +http:\/\/127\.0\.0\.1:\d+\n/,
  );

  const second = await penstock.run(['up']);
  expect(second.stderr).toMatch(/run already[^]*Web UI: http/);
  expect(second.status).toBe(1);

  upstream.put('slow.txt', 'another');
  // Without an answer until somebody has attached, however slow the machine.
  upstream.misbehave.set('slow.txt', () => undefined);
  const detached = await penstock.run(['sync', 'files', '--detach']);
  expect(detached.stdout).toContain('/namespaces/default/workflows/sync%2Ffiles/');
  const attached = penstock.start(['sync', 'files', '--attach', '--wait']);
  await attached.printed('Attached to');
  upstream.misbehave.clear();
  await up.signal('SIGKILL');
  const { status, stdout, stderr } = await attached.ended();
  expect(stderr).toContain('this process runs them now');
  expect(stdout).toMatch(/^files: version 4: 1 added, 0 removed, 12 present\n/);
  expect(status).toBe(0);
  expect(await servers()).toEqual([]);
});

it('is taken over when the command that ran the services ends normally', async () => {
  upstream.put('slow.txt', 'once more');
  upstream.misbehave.set('slow.txt', () => undefined);
  const up = penstock.start(['up']);
  await up.printed('Ready.');
  const following = penstock.start(['sync', 'files', '--wait']);
  await following.printed('Parsing Metadata');
  expect((await up.signal('SIGTERM')).status).toBe(0);
  upstream.misbehave.clear();
  const { status, stdout, stderr } = await following.ended();
  expect(stderr).toContain('this process runs them now');
  expect(stdout).toMatch(/^files: version 5: 1 added, 1 removed, 12 present\n/);
  expect(status).toBe(0);
  expect(await servers()).toEqual([]);
});

it('starts only what a command needs, and stops it', async () => {
  const { repositories } = await penstock.json<{ repositories: unknown[] }>('repository', 'list');
  expect(repositories).toMatchObject([{ name: 'files', latestVersion: 5 }]);
  const up = penstock.start(['up', '--json']);
  await up.printed('webUi');
  expect(JSON.parse(up.stdout)).toMatchObject({ taskQueue: 'penstock' });
  expect((await up.signal('SIGTERM')).status).toBe(0);
  expect(await servers()).toEqual([]);
});

/** The servers of this test's data folder that run. */
async function servers(): Promise<string[]> {
  const found = await findProcesses((argv) => argv.some((part) => part.includes(penstock.folder)));
  return found.map(({ argv }) => argv.join(' '));
}

async function freePorts(count: number): Promise<number[]> {
  const listening = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = listening.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(listening.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
