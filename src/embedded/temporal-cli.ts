import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { asError } from '../errors';
import { ServiceNotInstalled } from './errors';

const run = promisify(execFile);

/** The newest version that `go install` accepts: later ones hold a `replace`. */
const GO_MODULE = 'github.com/temporalio/cli/cmd/temporal@v1.5.1';

/** A download that has not begun by then does not come: there is no network. */
const DOWNLOAD_BEGINS_WITHIN_MS = 20_000;
const DOWNLOAD_ENDS_WITHIN_MS = 15 * 60_000;

/** Where to look for the Temporal CLI, and where to put it. */
export interface CliSearch {
  /** What is downloaded or built is kept here. */
  readonly binDir: string;
  readonly log: (line: string) => void;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds the Temporal CLI: on the PATH, in `binDir` and where Go installs programs; else downloaded by Temporal's SDK; else
 * built with Go, which takes minutes.
 *
 * @throws {@link ServiceNotInstalled} saying what was tried and what to install.
 */
export async function findTemporalCli(search: CliSearch): Promise<string> {
  const found = await findInstalled(search);
  if (found) return found;

  const { binDir, log, env = process.env, signal } = search;
  await mkdir(binDir, { recursive: true });
  const tried: string[] = [];
  log('The Temporal CLI is not installed. Downloading it …');
  try {
    return await downloadTemporalCli(binDir, env, signal);
  } catch (error) {
    signal?.throwIfAborted();
    tried.push(`- the download by Temporal's SDK failed: ${firstLine(asError(error).message)}`);
  }
  const go = await findExecutable('go', pathFolders(env));
  if (go) {
    log(`The download failed. Building the Temporal CLI with Go into ${binDir}; once, and it takes some minutes …`);
    try {
      return await build(go, binDir, env, signal);
    } catch (error) {
      signal?.throwIfAborted();
      tried.push(`- go install ${GO_MODULE} failed: ${asError(error).message.trim()}`);
    }
  } else {
    tried.push('- it cannot be built, as there is no Go on the PATH');
  }
  throw new ServiceNotInstalled(
    `The Temporal CLI, which brings the embedded Temporal server, was not found:\n` +
      `- no "temporal" on the PATH or in ${binDir}\n${tried.join('\n')}\n` +
      'Install it (https://docs.temporal.io/cli) so that "temporal" is on the PATH, or install Go 1.24 or newer and try again ' +
      'with a network, or set TEMPORAL_ADDRESS to a Temporal server of your own.',
  );
}

async function findInstalled({ binDir, env = process.env }: CliSearch): Promise<string | undefined> {
  const home = env.HOME ?? homedir();
  const goFolders = [env.GOBIN, ...(env.GOPATH ?? '').split(delimiter).map((path) => path && join(path, 'bin'))];
  const installed =
    (await findExecutable('temporal', pathFolders(env))) ??
    (await findExecutable('temporal', [binDir, ...goFolders, join(home, 'go', 'bin')]));
  if (installed) return installed;
  const downloaded = (await readdir(binDir).catch(() => [])).find((name) =>
    /^temporal-sdk-typescript-[\d.]+$/.test(name),
  );
  return downloaded && findExecutable(downloaded, [binDir]);
}

function pathFolders(env: NodeJS.ProcessEnv): string[] {
  return (env.PATH ?? '').split(delimiter);
}

/** An empty folder name, which in a PATH means the current folder, is passed over. */
async function findExecutable(name: string, folders: readonly (string | undefined)[]): Promise<string | undefined> {
  for (const folder of folders.filter(Boolean)) {
    const path = join(folder ?? '', name);
    const usable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable && (await stat(path)).isFile()) return path;
  }
  return undefined;
}

/**
 * The SDK downloads the server when it starts a throwaway one, which `@temporalio/testing` does in tests. The same call of
 * its native part is made here, in a process of its own, so that it can be ended when there is no network, and so
 * that it leaves the SDK of this process alone.
 */
export async function downloadTemporalCli(
  binDir: string,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<string> {
  const bridge = createRequire(require.resolve('@temporalio/worker')).resolve('@temporalio/core-bridge');
  const { version } = createRequire(bridge)('./package.json') as { version: string };
  const target = join(binDir, `temporal-sdk-typescript-${version}`);
  const attempt = new AbortController();
  const begun = Date.now();
  const watch = setInterval(() => {
    const limit = DOWNLOAD_BEGINS_WITHIN_MS;
    access(`${target}.downloading`).then(
      () => {
        if (Date.now() - begun > DOWNLOAD_ENDS_WITHIN_MS) attempt.abort(new Error('it does not end'));
      },
      () => {
        if (Date.now() - begun > limit) attempt.abort(new Error(`nothing came within ${limit / 1000} seconds`));
      },
    );
  }, 1_000);
  try {
    await run(process.execPath, ['-e', DOWNLOAD_SCRIPT, bridge, binDir, version], {
      env: { ...env, NODE_OPTIONS: '' },
      signal: signal ? AbortSignal.any([signal, attempt.signal]) : attempt.signal,
    });
    return target;
  } catch (error) {
    const reason = attempt.signal.reason as Error | undefined;
    const { stderr = '' } = error as { stderr?: string };
    throw new Error(reason?.message ?? `${stderr}\n${asError(error).message}`, { cause: error });
  } finally {
    clearInterval(watch);
  }
}

const DOWNLOAD_SCRIPT = `
const [bridge, downloadDir, sdkVersion] = process.argv.slice(1);
const { native } = require(bridge);
const runtime = native.newRuntime({
  logExporter: { type: 'console', filter: 'ERROR', format: null },
  telemetry: { attachServiceName: false, metricPrefix: '' },
  metricsExporter: null,
  workerHeartbeatIntervalMillis: null,
});
const ttl = 10 * 365 * 86_400_000;
const exe = { type: 'cached-download', downloadDir, version: 'default', ttl, sdkName: 'sdk-typescript', sdkVersion };
native
  .newEphemeralServer(runtime, {
    type: 'dev-server', exe, namespace: 'default', ip: '127.0.0.1', port: null, uiPort: null, dbFilename: null, ui: false,
    log: { format: 'pretty', level: 'error' }, extraArgs: [],
  })
  .then((server) => native.ephemeralServerShutdown(server))
  .then(() => process.exit(0), (error) => { console.error(error.message); process.exit(1); });
`;

/** Builds into a folder beside the final place, so that a build that was interrupted leaves no half program there. */
async function build(
  go: string,
  binDir: string,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<string> {
  const building = join(binDir, 'building');
  await rm(building, { recursive: true, force: true });
  // Go keeps its caches in the home folder; a service may have none.
  const caches = env.HOME ? {} : { GOPATH: join(binDir, 'go'), GOCACHE: join(binDir, 'go', 'cache') };
  await run(go, ['install', GO_MODULE], {
    cwd: dirname(binDir),
    env: { ...env, ...caches, GOBIN: building, CGO_ENABLED: '0' },
    maxBuffer: 64 * 1024 * 1024,
    ...(signal ? { signal } : {}),
  });
  const target = join(binDir, 'temporal');
  await rename(join(building, 'temporal'), target);
  await rm(building, { recursive: true, force: true });
  return target;
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? '';
}
