import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { LogFile } from '../../src/embedded/log-file';
import { until } from './data-folder';

describe('the log of a server', () => {
  let folder: string;
  let path: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'penstock-log-'));
    path = join(folder, 'server.log');
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('stays small while the server writes on and on', async () => {
    const log = new LogFile(path);
    const output = log.open();
    const server = spawn('sh', ['-c', 'while :; do echo "a line of the log"; done'], {
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    const stopBounding = log.bound(100_000, 5);
    let largest = 0;
    let smaller = false;
    await until(async () => {
      const { size } = await stat(path);
      smaller ||= size < largest;
      largest = Math.max(largest, size);
      return smaller && (await stat(`${path}.1`).catch(() => undefined)) !== undefined;
    }, 'the log starts again');
    stopBounding();
    await until(() => log.tail(2).includes('a line of the log'), 'the server goes on writing');
    server.kill('SIGKILL');
  });

  it('tells only of the server that runs now', async () => {
    await writeFile(path, 'of an earlier one\n');
    const log = new LogFile(path);
    closeSync(log.open());
    expect(log.tail()).toBe('');
    await writeFile(path, 'one\ntwo\nthree\n', { flag: 'a' });
    expect(log.tail(2)).toBe('two\nthree');
  });

  it('moves aside at the next start when it is large', async () => {
    await writeFile(path, Buffer.alloc(11 * 1024 * 1024));
    closeSync(new LogFile(path).open());
    expect((await stat(path)).size).toBe(0);
    expect((await stat(`${path}.1`)).size).toBe(11 * 1024 * 1024);
  });
});
