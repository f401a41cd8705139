import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';

import { FileRepository } from '../harness/file-repository';
import { eventually } from '../harness/penstock';
import { PenstockCommand, events } from './penstock-command';

jest.setTimeout(120_000);

/** Of this run alone: all tests share one Temporal, and with it the ids of workflows. */
const cdn = `cdn-${randomBytes(4).toString('hex')}`;
let penstock: PenstockCommand;
let upstream: FileRepository;
let mirror: FileRepository;

beforeAll(async () => {
  penstock = await PenstockCommand.withGivenServices();
  upstream = await FileRepository.start({ one: '1', two: '2' });
  mirror = await FileRepository.start({ one: '1' });
  await penstock.json('migrate');
  await penstock.start(['worker']).printed('polls task queue');
  await penstock.json('remote', 'create', 'cdn', '--url', mirror.origin);
});
afterAll(async () => {
  await penstock.remove();
  await upstream.stop();
  await mirror.stop();
});

it('makes a remote an alternate content source, finds out what it has, and syncs from it', async () => {
  const created = await penstock.run(['acs', 'create', cdn, '--remote', 'cdn', '--path', 'PULP_MANIFEST']);
  expect(created.stdout).toBe(
    `Alternate content source "${cdn}" is created.\nFind out what it has:  penstock acs refresh ${cdn}\n`,
  );
  const refreshed = await penstock.run(['acs', 'refresh', cdn]);
  expect(refreshed).toMatchObject({ status: 0, stdout: `"${cdn}" has 1 file, which syncs ask it for from now on.\n` });
  const synced = await penstock.run(['sync', `files-${cdn}`, '--url', upstream.url]);
  expect(synced).toMatchObject({ status: 0 });
  expect([upstream.downloads, mirror.downloads]).toEqual([['two'], ['one']]);

  const [list, names, view, shown] = await Promise.all([
    penstock.run(['acs', 'list']),
    penstock.run(['acs', 'list', '--quiet']),
    penstock.json('acs', 'show', cdn),
    penstock.run(['acs', 'show', cdn]),
  ]);
  expect(list.stdout).toMatch(new RegExp(`^NAME +REMOTE +FILES +REFRESHED\n${cdn} +cdn +1 +\\d{4}-`));
  expect(names.stdout).toBe(`${cdn}\n`);
  expect(view).toMatchObject({
    name: cdn,
    paths: ['PULP_MANIFEST'],
    artifacts: 1,
    lastRefresh: { state: 'completed' },
  });
  expect(shown.stdout).toMatch(/paths +PULP_MANIFEST\nfiles +1\n/);
});

it('says what went wrong, and what can be done about it', async () => {
  const updated = await penstock.json('acs', 'update', cdn, '--path', 'moved/PULP_MANIFEST');
  expect(updated).toMatchObject({ paths: ['moved/PULP_MANIFEST'], artifacts: 1 });
  const [nothing, both, refused, failed] = await Promise.all([
    penstock.run(['acs', 'update', cdn]),
    penstock.run(['acs', 'update', cdn, '--path', 'a', '--no-paths']),
    penstock.run(['remote', 'delete', 'cdn']),
    penstock.run(['acs', 'refresh', cdn, '--json']),
  ]);
  expect(nothing).toMatchObject({ status: 2, stderr: expect.stringContaining('Nothing to update') });
  expect(both).toMatchObject({ status: 2, stderr: expect.stringContaining('contradict each other') });
  expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining(`penstock acs delete ${cdn}`) });
  expect(events(failed.stdout).at(-1)).toMatchObject({
    event: 'error',
    error: { type: 'RefreshFailed', message: expect.stringContaining('the server answered 404') },
  });
  expect(failed.status).toBe(1);
  // It does not wait long for names.
  const complete = async () => (await penstock.run(['complete', '--', 'acs', 'show', ''])).stdout;
  await eventually('its name is completed', async () => (await complete()).includes(cdn));

  const deleted = await penstock.run(['acs', 'delete', cdn]);
  expect(deleted.stdout).toBe(`Alternate content source "${cdn}" is deleted.\n`);
  const gone = await penstock.run(['acs', 'refresh', cdn]);
  expect(gone).toMatchObject({
    status: 1,
    stderr: expect.stringContaining(`There is no alternate content source "${cdn}"`),
  });
});
