import { createServer, type Server } from 'node:net';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Connection } from '@temporalio/client';

import { findServices, startServices, type RunningServices, type ServiceSettings } from '../../src/embedded/services';
import { isListening } from '../../src/embedded/ports';
import { makeSettings, portOf, query, removeData } from './data-folder';

const messages: string[] = [];
const options = { log: (line: string) => void messages.push(line) };

describe('embedded services', () => {
  let settings: ServiceSettings;
  let services: RunningServices;

  beforeAll(async () => {
    settings = await makeSettings();
    services = await startServices(settings, options);
  });

  afterAll(async () => {
    await services.stop();
    await removeData(settings);
  });

  it('are PostgreSQL 18 with the database penstock, for this machine and with a password only', async () => {
    const [row] = await query<Record<string, string>>(
      services.databaseUrl,
      `select current_database() as database, current_setting('server_version_num') as version,
              current_setting('listen_addresses') as listens, current_setting('fsync') as fsync,
              current_setting('synchronous_commit') as commits, current_setting('data_checksums') as checksums,
              rolsuper::text as super from pg_roles where rolname = current_user`,
    );
    expect(row).toMatchObject({ database: 'penstock', listens: '127.0.0.1', checksums: 'on', super: 'false' });
    expect(row).toMatchObject({ fsync: 'on', commits: 'on' });
    expect(row?.version).toMatch(/^18/);
    const wrong = services.databaseUrl.replace(/:[0-9a-f]+@/, ':guessed@');
    await expect(query(wrong, 'select 1')).rejects.toThrow(/password authentication failed/);
    await expect(query(wrong.replace('//penstock:guessed', '//postgres'), 'select 1')).rejects.toThrow(/pg_hba/);
  });

  it('are Temporal with its namespace and its Web UI', async () => {
    const connection = await Connection.connect({ address: services.temporalAddress ?? '' });
    const { namespaceInfo } = await connection.workflowService.describeNamespace({ namespace: 'default' });
    await connection.close();
    expect(namespaceInfo?.name).toBe('default');
    const page = await fetch(services.uiAddress ?? '');
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('<html');
  });

  it('keep their secrets to their owner', async () => {
    for (const path of ['services.json', 'postgres/password']) {
      expect((await stat(join(settings.dataDir, path))).mode & 0o777).toBe(0o600);
    }
    expect((await stat(join(settings.dataDir, 'postgres'))).mode & 0o777).toBe(0o700);
  });

  it('are found by others, and run by nobody else', async () => {
    const { databaseUrl, temporalAddress, uiAddress } = services;
    expect(await findServices(settings)).toEqual({ databaseUrl, temporalAddress, uiAddress });
    await expect(startServices(settings, options)).rejects.toMatchObject({
      name: 'ServicesAlreadyRunning',
      message: expect.stringContaining(`pid ${process.pid}`) as unknown,
      transient: true,
    });
    expect(await isListening(portOf(databaseUrl))).toBe(true);
  });

  it('keep their data when they are stopped and started again', async () => {
    await query(services.databaseUrl, 'create table kept as select 42 as answer');
    const { databaseUrl } = services;
    await services.stop();
    await services.stop();
    expect(await isListening(portOf(databaseUrl))).toBe(false);
    expect(await findServices(settings)).toBeUndefined();
    services = await startServices(settings, options);
    expect(await query(services.databaseUrl, 'select answer from kept')).toEqual([{ answer: 42 }]);
  });
});

it('starts nothing where both are given by address', async () => {
  const settings = { ...(await makeSettings()), databaseUrl: 'postgresql://db.example/penstock', temporalGiven: true };
  const given = { databaseUrl: settings.databaseUrl, temporalAddress: undefined, uiAddress: undefined };
  const services = await startServices(settings, options);
  expect(services).toMatchObject(given);
  expect(await findServices(settings)).toEqual(given);
  await services.stop();
  await removeData(settings);
});

it('starts only PostgreSQL where Temporal is given, and does not look for the CLI', async () => {
  const settings = await makeSettings({ temporalGiven: true });
  const services = await startServices(settings, options);
  expect(services.temporalAddress).toBeUndefined();
  expect(await query(services.databaseUrl, 'select 1 as one')).toEqual([{ one: 1 }]);
  await services.stop();
  await expect(stat(join(settings.dataDir, 'temporal'))).rejects.toThrow('ENOENT');
  await removeData(settings);
});

describe('a port that is in use', () => {
  let holder: Server;
  let port: number;

  beforeAll(async () => {
    holder = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const address = holder.address();
    port = typeof address === 'object' && address ? address.port : 0;
  });

  afterAll(() => {
    holder.close();
  });

  it.each([
    ['postgres', 'PENSTOCK_POSTGRES_PORT'],
    ['temporal', 'PENSTOCK_TEMPORAL_PORT'],
    ['ui', 'PENSTOCK_TEMPORAL_UI_PORT'],
  ])('of %s is named, with its holder and the variable %s, and nothing is left running', async (which, variable) => {
    const free = await makeSettings();
    const settings = { ...free, ports: { ...free.ports, [which]: port } };
    const error = await startServices(settings, options).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'PortUnavailable', details: { port, variable } });
    const { message } = error as Error;
    expect(message).toContain(String(port));
    expect(message).toContain(variable);
    if (process.platform === 'linux') expect(message).toContain(`(pid ${process.pid})`);
    await expect(readFile(join(settings.dataDir, 'postgres/data/postmaster.pid'))).rejects.toThrow('ENOENT');
    expect(await findServices(settings)).toBeUndefined();
    await removeData(settings);
  });
});

it('refuses data of another major version of PostgreSQL', async () => {
  const settings = await makeSettings({ temporalGiven: true });
  const services = await startServices(settings, { ...options, durable: false });
  await services.stop();
  await writeFile(join(settings.dataDir, 'postgres/data/PG_VERSION'), '17\n');
  await expect(startServices(settings, options)).rejects.toMatchObject({
    name: 'DataFolderUnusable',
    message: expect.stringMatching(/PostgreSQL 17.*PostgreSQL 18/) as unknown,
  });
  await removeData(settings);
});

it('says what is wrong with a data folder that cannot be made', async () => {
  const settings = await makeSettings();
  const blocked = join(settings.dataDir, 'file');
  await writeFile(blocked, '');
  await expect(startServices({ ...settings, dataDir: join(blocked, 'data') }, options)).rejects.toMatchObject({
    name: 'DataFolderUnusable',
    message: expect.stringContaining('PENSTOCK_DATA') as unknown,
  });
  await removeData(settings);
});

it('can be interrupted while it starts', async () => {
  const settings = await makeSettings();
  await mkdir(join(settings.dataDir, 'bin'));
  const interrupt = new AbortController();
  setTimeout(() => {
    interrupt.abort(new Error('interrupted'));
  }, 300);
  await expect(startServices(settings, { ...options, signal: interrupt.signal })).rejects.toThrow('interrupted');
  expect(await findServices(settings)).toBeUndefined();
  await expect(readFile(join(settings.dataDir, 'postgres/data/postmaster.pid'))).rejects.toThrow('ENOENT');
  await removeData(settings);
});
