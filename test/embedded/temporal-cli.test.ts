import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { downloadTemporalCli, findTemporalCli } from '../../src/embedded/temporal-cli';

/** A proxy that refuses all connections: what a machine without a network is to the SDK and to Go. */
const NO_NETWORK = {
  HTTPS_PROXY: 'http://127.0.0.1:9',
  HTTP_PROXY: 'http://127.0.0.1:9',
  ALL_PROXY: 'http://127.0.0.1:9',
};

describe('the Temporal CLI', () => {
  let folder: string;
  let messages: string[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'penstock-cli-'));
    messages = [];
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  async function program(path: string, script = 'exit 0'): Promise<string> {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, `#!/bin/sh\n${script}\n`);
    await chmod(file, 0o755);
    return file;
  }

  const find = (env: NodeJS.ProcessEnv = {}) =>
    findTemporalCli({
      binDir: join(folder, 'bin'),
      log: (line) => messages.push(line),
      env: { ...NO_NETWORK, HOME: join(folder, 'home'), PATH: join(folder, 'path'), ...env },
    });

  it('is taken from the PATH, then from the data folder, then from where Go installs', async () => {
    const byGo = await program('home/go/bin/temporal');
    expect(await find()).toBe(byGo);
    const gobin = await program('gobin/temporal');
    expect(await find({ GOBIN: join(folder, 'gobin') })).toBe(gobin);
    const kept = await program('bin/temporal');
    expect(await find({ GOBIN: join(folder, 'gobin') })).toBe(kept);
    const onPath = await program('path/temporal');
    expect(await find()).toBe(onPath);
    expect(messages).toEqual([]);
  });

  it('is what the SDK has downloaded earlier', async () => {
    const downloaded = await program('bin/temporal-sdk-typescript-1.24.0');
    expect(await find()).toBe(downloaded);
  });

  it('is not a folder, nor a file that cannot be executed', async () => {
    await mkdir(join(folder, 'path', 'temporal'), { recursive: true });
    const kept = await program('bin/temporal');
    await chmod(kept, 0o644);
    const byGo = await program('home/go/bin/temporal');
    expect(await find()).toBe(byGo);
  });

  it('is downloaded by the SDK', async () => {
    // The SDK asks the network only for what it does not find in its folder; it then starts what it has got.
    const { version } = createRequire(require.resolve('@temporalio/worker'))('./../package.json') as {
      version: string;
    };
    const target = join(folder, 'bin', `temporal-sdk-typescript-${version}`);
    await mkdir(dirname(target));
    await symlink(process.env.PENSTOCK_TEST_TEMPORAL_CLI ?? '', target);
    expect(await downloadTemporalCli(join(folder, 'bin'), process.env, undefined)).toBe(target);
  });

  it('is built with Go where it cannot be downloaded, with a word that this takes minutes', async () => {
    await program(
      'path/go',
      '[ "$1 $2" = "install github.com/temporalio/cli/cmd/temporal@v1.5.1" ] && echo built > "$GOBIN/temporal" 2>/dev/null ||\n' +
        '{ /bin/mkdir -p "$GOBIN" && echo "#!/bin/sh" > "$GOBIN/temporal" && /bin/chmod 755 "$GOBIN/temporal"; }',
    );
    expect(await find()).toBe(join(folder, 'bin', 'temporal'));
    expect(messages.join('\n')).toMatch(/Building the Temporal CLI with Go .* takes some minutes/);
    messages = [];
    expect(await find()).toBe(join(folder, 'bin', 'temporal'));
    expect(messages).toEqual([]);
  });

  it.each([
    ['without Go', undefined, /there is no Go on the PATH/],
    ['with a Go that fails', 'echo no route to the proxy >&2; exit 1', /no route to the proxy/],
  ])('that is nowhere, without a network and %s, is an error that says what to install', async (_, go, reason) => {
    if (go) await program('path/go', go);
    const error = await find().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'ServiceNotInstalled' });
    const { message } = error as Error;
    expect(message).toMatch(reason);
    expect(message).toContain("download by Temporal's SDK failed");
    expect(message).toMatch(/Install it .*or install Go/);
    expect(message).toContain('TEMPORAL_ADDRESS');
  });
});
