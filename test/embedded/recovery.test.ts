import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Connection } from '@temporalio/client';
import { Client } from 'pg';

import { findServices, startServices, type ServiceSettings } from '../../src/embedded/services';
import { findProcesses } from '../../src/embedded/process-table';
import { makeSettings, portOf, query, removeData, until } from './data-folder';
import { CompiledOwner, type PenstockProcess } from './penstock-process';

let owner: CompiledOwner;
let settings: ServiceSettings;

beforeAll(async () => {
  owner = await CompiledOwner.compile();
  settings = await makeSettings();
});

afterAll(async () => {
  await removeData(settings);
  await owner.remove();
});

async function postmaster(): Promise<number> {
  return Number.parseInt(await readFile(join(settings.dataDir, 'postgres/data/postmaster.pid'), 'utf8'), 10);
}

async function temporalServers(): Promise<number[]> {
  const file = join(settings.dataDir, 'temporal/temporal.db');
  return (await findProcesses((argv) => argv.includes(file))).map(({ pid }) => pid);
}

describe('a server that is killed', () => {
  const messages: string[] = [];
  const options = { log: (line: string) => void messages.push(line) };

  it('is started again on the same port, and has its data', async () => {
    const services = await startServices(settings, options);
    await query(services.databaseUrl, 'create table kept as select 42 as answer');
    const [before, temporal] = [await postmaster(), (await temporalServers())[0] ?? 0];
    process.kill(before, 'SIGKILL');
    process.kill(temporal, 'SIGKILL');
    const isBack = () =>
      query<{ answer: number }>(services.databaseUrl, 'select answer from kept').then(
        (rows) => rows[0]?.answer === 42,
        () => false,
      );
    await until(isBack, 'PostgreSQL is back');
    const connection = await Connection.connect({ address: services.temporalAddress ?? '', connectTimeout: 20_000 });
    await connection.workflowService.describeNamespace({ namespace: 'default' });
    await connection.close();
    expect(messages.join()).toMatch(/PostgreSQL ended \(killed by SIGKILL\)/);
    expect(messages.join()).toMatch(/Temporal ended \(killed by SIGKILL\)/);
    expect(await postmaster()).not.toBe(before);
    await services.stop();
    expect(await temporalServers()).toEqual([]);
  });

  it('is given up when it ends again and again', async () => {
    const services = await startServices({ ...settings, temporalGiven: true }, options);
    const killed = new Set<number>();
    await until(async () => {
      const pid = await postmaster().catch(() => Number.NaN);
      if (killed.has(pid) || Number.isNaN(pid)) return false;
      process.kill(pid, 'SIGKILL');
      return killed.add(pid).size === 4;
    }, 'PostgreSQL is back');
    await expect(services.failed).rejects.toMatchObject({
      name: 'ServiceFailed',
      message: expect.stringMatching(/ended 4 times within 10 minutes[^]*logs\/postgres.log/) as unknown,
    });
    await services.stop();
  });
});

describe('Penstock that is killed', () => {
  let first: PenstockProcess;
  let second: PenstockProcess;

  it('leaves servers behind, which the next start ends, and then goes on with the data', async () => {
    first = owner.run('start', settings);
    const { databaseUrl } = await first.line('started');
    await query(databaseUrl, 'create table later as select 43 as answer');
    const busy = new Client({ connectionString: databaseUrl });
    busy.on('error', () => undefined);
    await busy.connect();
    const statement = busy.query('select pg_sleep(3600)').catch(() => undefined);
    const orphans = [await postmaster(), ...(await temporalServers())];
    await first.kill();
    expect(await findServices(settings)).toBeUndefined();
    for (const pid of orphans) expect(() => process.kill(pid, 0)).not.toThrow();

    // On the same ports, which the orphans hold.
    second = owner.run('start', { ...settings, ports: { ...settings.ports, postgres: portOf(databaseUrl) } });
    const started = await second.line('started');
    expect(portOf(started.databaseUrl)).toBe(portOf(databaseUrl));
    expect(await query(databaseUrl, 'select answer from later')).toEqual([{ answer: 43 }]);
    expect(second.lines.filter(({ message }) => message?.includes('left behind'))).toHaveLength(2);
    await statement;
    await busy.end().catch(() => undefined);
  });

  it('is followed by one that others find, and do not start a second time', async () => {
    const started = await second.line('started');
    expect(await findServices(settings)).toEqual(started);
    expect(await owner.run('find', settings).line('found')).toEqual(started);
    const third = owner.run('start', settings);
    expect(await third.line('error')).toMatch(`ServicesAlreadyRunning: The services of ${settings.dataDir} are run by`);
    await second.stop();
    expect(second.lines.at(-1)).toHaveProperty('stopped');
    expect(await temporalServers()).toEqual([]);
  });

  it('may have left backends without their server, a pid file with the pid of another process, and half-made data', async () => {
    first = owner.run('start', { ...settings, temporalGiven: true });
    const { databaseUrl } = await first.line('started');
    const busy = new Client({ connectionString: databaseUrl });
    busy.on('error', () => undefined);
    await busy.connect();
    // A backend that is deep in a computation does not look whether its server is still there.
    const statement = busy.query('select sum(sqrt(n)) from generate_series(1, 3000000000) n').catch(() => undefined);
    await until(
      async () => (await findProcesses((argv) => argv.join(' ').includes(') SELECT'))).length > 0,
      'the backend is busy',
    );
    const server = await postmaster();
    process.kill(first.child.pid ?? 0, 'SIGKILL');
    process.kill(server, 'SIGKILL');
    await first.end();
    const bystander = spawn('sleep', ['3600']);
    const path = join(settings.dataDir, 'postgres/data/postmaster.pid');
    await writeFile(path, (await readFile(path, 'utf8')).replace(/^\d+/, String(bystander.pid)));

    second = owner.run('start', { ...settings, temporalGiven: true });
    const again = await second.line('started');
    expect(await query(again.databaseUrl, 'select answer from later')).toEqual([{ answer: 43 }]);
    await second.stop();
    await statement;
    await busy.end().catch(() => undefined);
    expect(bystander.exitCode).toBeNull();
    bystander.kill();
    await once(bystander, 'exit');
  });

  it('while it made its data leaves nothing that disturbs the next start', async () => {
    const fresh = await makeSettings({ temporalGiven: true });
    first = owner.run('start', fresh);
    const home = join(fresh.dataDir, 'postgres');
    await until(
      () =>
        readdir(home).then(
          (names) => names.length > 0,
          () => false,
        ),
      'the data is being made',
    );
    await first.kill();
    second = owner.run('start', fresh);
    expect(await query((await second.line('started')).databaseUrl, 'select 1 as one')).toEqual([{ one: 1 }]);
    await second.stop();
    expect((await readdir(home)).sort()).toEqual(['data', 'password']);
    await removeData(fresh);
  });
});

describe('files that are damaged', () => {
  const messages: string[] = [];
  const options = { log: (line: string) => void messages.push(line) };

  it('such as the lock and the addresses are as if they were not there', async () => {
    const [lock = ''] = (await readdir(settings.dataDir)).filter((name) => name.startsWith('owner.'));
    await writeFile(join(settings.dataDir, lock), '\0\0\0');
    await writeFile(join(settings.dataDir, 'services.json'), '{"owner":');
    expect(await findServices(settings)).toBeUndefined();
    const services = await startServices({ ...settings, temporalGiven: true }, options);
    expect(await findServices({ ...settings, temporalGiven: true })).toMatchObject({
      databaseUrl: services.databaseUrl,
    });
    await services.stop();
  });

  it('such as a password that is lost are made anew', async () => {
    await rm(join(settings.dataDir, 'postgres/password'));
    const services = await startServices({ ...settings, temporalGiven: true }, options);
    expect(await query(services.databaseUrl, 'select answer from later')).toEqual([{ answer: 43 }]);
    expect(messages.join()).toContain('password of the embedded PostgreSQL is lost');
    await services.stop();
  });

  it('such as the database of Temporal are put aside, as all that counts is in PostgreSQL', async () => {
    const file = join(settings.dataDir, 'temporal/temporal.db');
    for (const suffix of ['-wal', '-shm']) await rm(`${file}${suffix}`, { force: true });
    await writeFile(file, Buffer.alloc(100_000, 'x'));
    const services = await startServices({ ...settings, databaseUrl: 'postgresql://db.example/penstock' }, options);
    expect(messages.join()).toContain("Temporal's database cannot be read");
    expect((await stat(`${file}.corrupt`)).size).toBe(100_000);
    expect(services.temporalAddress).toMatch(/^127\.0\.0\.1:\d+$/);
    await services.stop();
  });
});
