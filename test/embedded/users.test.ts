import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { findProcesses } from '../../src/embedded/process-table';
import type { ServiceSettings } from '../../src/embedded/services';
import { makeSettings, query, removeData } from './data-folder';
import { CompiledOwner } from './penstock-process';

/** What Docker leaves to root of a container: capabilities(7) without, among others, those of namespaces and of other users' processes. */
const CONTAINER_CAPABILITIES =
  '+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,' +
  '+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap';
const CONTAINER = ['setpriv', '--inh-caps=-all', `--bounding-set=-all,${CONTAINER_CAPABILITIES}`, '--'];
const NOBODY = 65_534;

/** An ordinary user, but for one thing: the checkout of these tests may lie in a folder that is closed to it. */
const ordinary = (uid: number) => [
  ...['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--securebits=+no_setuid_fixup'],
  ...['--inh-caps=-all,+dac_override', '--ambient-caps=-all,+dac_override', '--'],
];

const isRoot = process.getuid?.() === 0;
const onlyRoot = isRoot && process.platform === 'linux' ? it : it.skip;

function works(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('embedded services', () => {
  let owner: CompiledOwner;

  beforeAll(async () => {
    owner = await CompiledOwner.compile();
  });

  afterAll(async () => {
    await owner.remove();
  });

  /** Starts twice, with data from the first time at the second, and tells who owned the data and the server. */
  async function startTwice(settings: ServiceSettings, how: Parameters<CompiledOwner['run']>[2], by = owner) {
    let databaseUrl = '';
    for (const statement of ['create table kept as select 42 as answer', 'select answer from kept']) {
      const penstock = by.run('start', settings, how);
      ({ databaseUrl } = await penstock.line('started'));
      const rows = await query(databaseUrl, statement);
      if (statement.startsWith('select')) expect(rows).toEqual([{ answer: 42 }]);
      const data = join(settings.dataDir, 'postgres', 'data');
      const servers = await findProcesses((argv) => argv.includes(data) && argv.includes('-D'));
      expect(servers).toHaveLength(1);
      const uid = (await stat(`/proc/${servers[0]?.pid ?? 0}`).catch(() => undefined))?.uid;
      await penstock.stop();
      expect(penstock.lines.at(-1)).toHaveProperty('stopped');
      if (statement.startsWith('select')) return { server: uid, data: (await stat(data)).uid };
    }
    throw new Error('not reached');
  }

  onlyRoot(
    'run PostgreSQL as another user where root starts them, in a folder that nobody else may enter',
    async () => {
      const settings = await makeSettings({ temporalGiven: true });
      const { server, data } = await startTwice(settings, {});
      expect(server).not.toBe(0);
      expect(data).toBe(server);
      await removeData(settings);
    },
  );

  onlyRoot('take no privilege along where everybody may pass to the data', async () => {
    const settings = await makeSettings({ temporalGiven: true });
    await chmod(settings.dataDir, 0o711);
    const penstock = owner.run('start', settings);
    await penstock.line('started');
    const [server] = await findProcesses((argv) => argv.includes(join(settings.dataDir, 'postgres', 'data')));
    const status = execFileSync('cat', [`/proc/${server?.pid ?? 0}/status`], { encoding: 'utf8' });
    // Where the checkout itself is closed to others, PostgreSQL's programs are reached by that one capability.
    expect(status).toMatch(/CapEff:\s0{15}[02]\n/);
    expect(status).toMatch(/NoNewPrivs:\s1/);
    await penstock.stop();
    await removeData(settings);
  });

  onlyRoot('run their programs from a folder that nobody else may enter', async () => {
    const closed = await CompiledOwner.compile(true);
    const settings = await makeSettings({ temporalGiven: true });
    for (const prefix of [[], CONTAINER]) {
      const { server } = await startTwice(settings, { prefix }, closed);
      expect(server).not.toBe(0);
      await removeData(settings);
      await mkdir(settings.dataDir);
    }
    await removeData(settings);
    await closed.remove();
  });

  onlyRoot('run as root of a container, which may not do much', async () => {
    const settings = await makeSettings({ temporalGiven: true });
    const { server, data } = await startTwice(settings, { prefix: CONTAINER });
    expect(server).not.toBe(0);
    expect(data).toBe(server);
    await removeData(settings);
  });

  const canMapOne = isRoot && works('unshare', '--user', '--map-root-user', 'true');
  (canMapOne ? it : it.skip)('run as root of a container that has no other user', async () => {
    const settings = await makeSettings({ temporalGiven: true });
    const { data } = await startTwice(settings, { prefix: ['unshare', '--user', '--map-root-user', '--'] });
    expect(data).toBe(0);
    await removeData(settings);
  });

  onlyRoot('run as an ordinary user', async () => {
    const settings = await makeSettings();
    const home = join(settings.dataDir, 'home');
    await mkdir(home);
    for (const path of [settings.dataDir, home]) await chown(path, NOBODY, NOBODY);
    const { server, data } = await startTwice(settings, {
      prefix: ordinary(NOBODY),
      env: { HOME: home, PATH: `${owner.cliFolder}:/usr/bin:/bin` },
    });
    expect(server).toBe(NOBODY);
    expect(data).toBe(NOBODY);
    await removeData(settings);
  });

  (isRoot ? it : it.skip)('do not touch the data of another user', async () => {
    const settings = await makeSettings({ temporalGiven: true });
    await chmod(settings.dataDir, 0o777);
    const penstock = owner.run('start', settings);
    await penstock.line('started');
    await penstock.stop();
    const other = owner.run('start', settings, { prefix: ordinary(1234) });
    expect(await other.line('error')).toMatch(/^DataFolderUnusable: .*belongs to the user with id/);
    await removeData(settings);
  });
});
