import { execFile } from 'node:child_process';
import { chown, lstat, mkdir, readdir, readFile, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { asError } from '../errors';
import { DataFolderUnusable, ServiceNotInstalled } from './errors';

const run = promisify(execFile);

/** As whom PostgreSQL runs. */
export interface PostgresUser {
  /** Goes before each command line of PostgreSQL. */
  readonly prefix: readonly string[];
  /** Who owns PostgreSQL's files, where that is not the user of this process. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

/** `nobody`, where no other user is known: the same on every Linux. */
const NOBODY = { uid: 65_534, gid: 65_534 };

/**
 * PostgreSQL refuses to run as root. Started by root it runs as an unprivileged user:
 *
 * 1. through `setpriv`, as the user `postgres`, or else `nobody`. Where that user could not enter a folder on the way to the data or to
 *    the binaries (`/root`, say), it keeps one capability of root's, to pass folders and files whoever owns them;
 * 2. where root is not allowed to become another user (a container with a single user id), in a user namespace in which
 *    root has another number.
 *
 * A data folder keeps the owner that it has got first.
 *
 * @param home the folder of everything that is PostgreSQL's; it is made here.
 * @param postgres the binary.
 * @throws {@link ServiceNotInstalled} where the binary does not run, {@link DataFolderUnusable} where the data is another user's.
 */
export async function preparePostgresUser(home: string, postgres: string): Promise<PostgresUser> {
  const problems: string[] = [];
  for (const user of await candidates(home, postgres)) {
    const made = await mkdir(home, { recursive: true, mode: 0o700 });
    try {
      const [command = '', ...args]: readonly string[] = [...user.prefix, postgres, '--version'];
      await run(command, args, { cwd: '/', env: postgresEnvironment() });
      if (user.owner) await chown(home, user.owner.uid, user.owner.gid);
      return user;
    } catch (error) {
      problems.push(asError(error).message.trim());
      if (made) await rmdir(home).catch(() => undefined);
    }
  }
  const isRoot = process.getuid?.() === 0;
  throw new ServiceNotInstalled(
    `The embedded PostgreSQL does not run here:\n${problems.join('\n')}\n` +
      (isRoot
        ? 'As root it needs setpriv or unshare (package util-linux), and a system that permits one of them. '
        : 'Its binaries need glibc, and the install scripts of npm packages to be allowed (npm rebuild). ') +
      `${isRoot ? 'Run Penstock as an ordinary user, or set' : 'Set'} DATABASE_URL to a PostgreSQL of your own.`,
    { path: postgres },
  );
}

async function candidates(home: string, postgres: string): Promise<PostgresUser[]> {
  const me = process.getuid?.();
  const found = await lstat(home).catch(() => undefined);
  if (me !== 0) {
    if (!found || found.uid === me) return [{ prefix: [] }];
    throw new DataFolderUnusable(
      `The PostgreSQL data in ${home} belongs to the user with id ${found.uid}, and this is ${me ?? '?'}. ` +
        'Run Penstock as that user or as root, or set PENSTOCK_DATA to a folder of your own.',
      { path: home, expected: String(me), found: String(found.uid) },
    );
  }
  const namespace = { prefix: ['unshare', '--user', '--map-user=65534', '--map-group=65534', '--'] };
  const used = found && (await readdir(home)).length > 0;
  if (used && found.uid === 0) return [namespace];
  const owner = used ? { uid: found.uid, gid: found.gid } : await unprivilegedUser();
  const free = (await mayPass(dirname(home))) && (await mayPass(dirname(postgres)));
  const capability = free ? '-all' : '-all,+dac_override';
  // Without this bit access(2), by which PostgreSQL's programs look for each other, is answered as if the user had no capability.
  const securebits = free ? [] : ['--securebits=+no_setuid_fixup'];
  const setpriv = {
    owner,
    prefix: [
      'setpriv',
      ...[`--reuid=${owner.uid}`, `--regid=${owner.gid}`, '--clear-groups', '--no-new-privs', ...securebits],
      ...[`--inh-caps=${capability}`, `--ambient-caps=${capability}`, '--'],
    ],
  };
  return used ? [setpriv] : [setpriv, namespace];
}

/** Whether everybody may pass through a folder and all those above it. */
async function mayPass(folder: string): Promise<boolean> {
  const { mode } = await stat(folder).catch(() => ({ mode: 0 }));
  if ((mode & 0o001) === 0) return false;
  return dirname(folder) === folder || mayPass(dirname(folder));
}

async function unprivilegedUser(): Promise<{ uid: number; gid: number }> {
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  for (const name of ['postgres', 'nobody']) {
    const line = passwd.split('\n').find((candidate) => candidate.startsWith(`${name}:`));
    const [, , uid, gid] = line?.split(':') ?? [];
    if (Number(uid) > 0 && Number(gid) > 0) return { uid: Number(uid), gid: Number(gid) };
  }
  return NOBODY;
}

/** Gives a folder and all in it to PostgreSQL's user. */
export async function giveTo(user: PostgresUser, path: string): Promise<void> {
  if (!user.owner) return;
  await chown(path, user.owner.uid, user.owner.gid);
  if (!(await lstat(path)).isDirectory()) return;
  for (const name of await readdir(path)) await giveTo(user, join(path, name));
}

/** An environment without the variables by which PostgreSQL's programs are steered, and with messages in English. */
export function postgresEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}
