import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { makeCertificates } from '../downloads/certificates';
import { PenstockCommand } from './penstock-command';

let penstock: PenstockCommand;

beforeAll(async () => {
  penstock = await PenstockCommand.withGivenServices();
  await penstock.json('migrate');
  await penstock.json('repository', 'create', 'files');
});

afterAll(() => penstock.remove());

/** Runs a command that has to succeed: the lines of stdout. */
async function lines(...args: string[]): Promise<string[]> {
  const { status, stdout, stderr } = await penstock.run(['distribution', ...args]);
  expect([status, stderr]).toEqual([0, '']);
  return stdout.trimEnd().split('\n');
}

it('serves a repository below a path, and shows where', async () => {
  const [created] = await lines('create', 'böök shelf', '--base-path', 'a/bücher', '--repository', 'files');
  expect(created).toBe(
    'Distribution "böök shelf" is created. It serves version 0 of files, its newest: http://127.0.0.1:24816/pulp/content/a/b%C3%BCcher/',
  );
  const env = { PENSTOCK_CONTENT_ORIGIN: 'https://mirror.example/' };
  const shown = await penstock.run(['distribution', 'show', 'böök shelf', '--json'], { env });
  expect(JSON.parse(shown.stdout)).toMatchObject({
    ...{ name: 'böök shelf', basePath: 'a/bücher', repository: 'files', version: null, serves: 0, guard: null },
    ...{ url: 'https://mirror.example/pulp/content/a/b%C3%BCcher/', tokens: 0 },
  });
  const completed = await penstock.run(['complete', '--', 'distribution', 'token', 'add', '']);
  expect(completed.stdout).toContain('böök shelf');
  const overlapping = await penstock.run(['distribution', 'create', 'other', '--base-path', 'a']);
  expect(overlapping.stderr).toContain('lies above "a/bücher", the base path of distribution "böök shelf"');
  expect(overlapping.status).toBe(1);
});

it('is changed, protects what it serves, and says that it serves nothing', async () => {
  await writeFile(join(penstock.folder, 'ca.pem'), (await makeCertificates()).ca.cert);
  const access = ['--guard', 'certificate', '--client-ca', 'ca.pem'];
  await lines('update', 'böök shelf', '--version', '0', '--base-path', 'books', ...access);
  const shown = (await lines('show', 'böök shelf')).join('\n');
  expect(shown).toMatch(/^base path {2}books$/m);
  expect(shown).toMatch(/^serves {5}version 0 of files$/m);
  expect(shown).toMatch(/^client ca {2}CN=penstock test authority$/m);

  const deleted = await penstock.run(['repository', 'delete', 'files']);
  expect(deleted.stderr).toBe('Distribution "böök shelf" serves nothing now.\n');
  expect(deleted.status).toBe(0);
  const [heading, row] = await lines('list');
  expect(heading).toMatch(/^NAME +BASE PATH +SERVES +GUARD$/);
  expect(row).toMatch(/^böök shelf +books +nothing +certificate$/);
});

it('shows a token once, and nowhere else', async () => {
  const guarded = await penstock.run(['distribution', 'update', 'böök shelf', '--guard', 'token']);
  expect(guarded.stderr).toContain("penstock distribution token add 'böök shelf' TOKEN_NAME");
  const add = ['distribution', 'token', 'add', 'böök shelf', 'laptop', '--expires', '30d'];
  const made = await penstock.run(add, { env: { PENSTOCK_LOG_LEVEL: 'trace' } });
  expect(made.stdout).toMatch(/^penstock_[\w-]{43}\n$/);
  expect(made.stderr).not.toContain('penstock_');
  const tokens = await penstock.run(['distribution', 'token', 'list', 'böök shelf', '--json']);
  expect(JSON.parse(tokens.stdout)).toMatchObject({ tokens: [{ name: 'laptop', expired: false }] });
  expect(tokens.stdout).not.toContain('penstock_');
  expect(await lines('token', 'remove', 'böök shelf', 'laptop', '--quiet')).toEqual(['']);
  expect(await lines('delete', 'böök shelf')).toEqual(['Distribution "böök shelf" is deleted.']);
});

it.each([
  [['create', 'x', '--base-path', 'x', '--version', '1'], '--version needs --repository NAME.'],
  [['update', 'x'], 'Nothing to update: give at least one option'],
  [['update', 'x', '--no-repository', '--version', '1'], '--no-repository contradicts --version.'],
])('refuses %j with status 2', async (args, message) => {
  const { status, stderr } = await penstock.run(['distribution', ...args]);
  expect(stderr).toContain(message);
  expect(status).toBe(2);
});
