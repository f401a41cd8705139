import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { LOOPBACK, findFreePort, isListening } from '../../src/embedded/ports';

const bucket = 'penstock-tests';

/** An S3-compatible store, versitygw, that keeps objects as files in a folder: a test can see them, and change them behind its back. */
export class ObjectStore {
  private constructor(
    private readonly program: string,
    private readonly folder: string,
    private readonly port: number,
    private server: ChildProcess,
  ) {}

  /** Starts a store with an empty bucket; the SDK in this process finds it. */
  static async start(): Promise<ObjectStore> {
    const program = findProgram();
    const folder = await mkdtemp(join(tmpdir(), 'penstock-s3-'));
    await mkdir(join(folder, 'objects', bucket), { recursive: true });
    await mkdir(join(folder, 'attributes'));
    const port = await findFreePort();
    const store = new ObjectStore(program, folder, port, await serve(program, folder, port));
    Object.assign(process.env, store.env);
    return store;
  }

  /** What the SDK finds the store by. */
  get env(): Record<string, string> {
    return {
      AWS_ENDPOINT_URL_S3: `http://${LOOPBACK}:${this.port}`,
      AWS_ACCESS_KEY_ID: credentials.access,
      AWS_SECRET_ACCESS_KEY: credentials.secret,
      AWS_REGION: 'us-east-1',
    };
  }

  /** An empty part of the bucket: the environment that names it, and the folder that its objects lie in. */
  newPlace(): { readonly env: Record<string, string>; readonly folder: string } {
    const prefix = `test-${randomBytes(6).toString('hex')}`;
    return {
      env: { ...this.env, PENSTOCK_STORAGE: `s3://${bucket}/${prefix}` },
      folder: join(this.folder, 'objects', bucket, prefix),
    };
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    await end(this.server);
  }

  /** Starts it again, with all that it holds. */
  async startAgain(): Promise<void> {
    this.server = await serve(this.program, this.folder, this.port);
  }

  async stop(): Promise<void> {
    await end(this.server);
    await rm(this.folder, { recursive: true, force: true });
  }
}

const credentials = { access: 'penstock', secret: 'a secret of the tests' };

async function serve(program: string, folder: string, port: number): Promise<ChildProcess> {
  const address = ['--port', `${LOOPBACK}:${port}`, '--quiet'];
  const posix = ['posix', '--sidecar', join(folder, 'attributes'), join(folder, 'objects')];
  const server = spawn(program, [...address, ...posix], {
    env: { ROOT_ACCESS_KEY: credentials.access, ROOT_SECRET_KEY: credentials.secret },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  server.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4000);
  });
  // Jest ends its processes without a word to them.
  const kill = () => server.kill('SIGKILL');
  process.once('exit', kill);
  server.once('exit', () => process.off('exit', kill));
  const deadline = Date.now() + 20_000;
  while (!(await isListening(port))) {
    if (server.exitCode !== null || Date.now() > deadline) {
      await end(server);
      throw new Error(`versitygw did not start: ${errors}`);
    }
    await sleep(20);
  }
  return server;
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGKILL');
  await exited;
}

/** On the PATH, or where Go installs programs. */
function findProgram(): string {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const found = [...folders, ...goFolders()]
    .map((folder) => join(folder, 'versitygw'))
    .find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new Error(
    'These tests need the S3-compatible server versitygw, and it is neither on the PATH nor where Go installs programs. ' +
      'Install it: CGO_ENABLED=0 go install github.com/versity/versitygw/cmd/versitygw@v1.8.0',
  );
}

function goFolders(): string[] {
  try {
    const [bin = '', path = ''] = execFileSync('go', ['env', 'GOBIN', 'GOPATH'], { encoding: 'utf8' }).split('\n');
    return [bin, ...path.split(delimiter).map((folder) => join(folder, 'bin'))].filter(Boolean);
  } catch {
    // No Go: then it is on the PATH, or nowhere.
    return [];
  }
}
