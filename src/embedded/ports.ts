import { randomInt } from 'node:crypto';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';

import { PortUnavailable } from './errors';

/** The embedded services are for this machine only. */
export const LOOPBACK = '127.0.0.1';

/** A port that an embedded service wants, and the variable by which a person changes it. */
export interface WantedPort {
  /** 0: any free one. */
  readonly port: number;
  readonly variable: string;
  readonly service: string;
}

/**
 * Makes sure that a port can be listened on, or finds a free one.
 *
 * @throws {@link PortUnavailable} naming the port, who holds it where that can be found, and the variable that changes it.
 */
export async function claimPort({ port, variable, service }: WantedPort): Promise<number> {
  try {
    return await (port === 0 ? findFreePort() : tryPort(port));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const holder = code === 'EADDRINUSE' ? await describeHolder(port) : undefined;
    const why = code === 'EADDRINUSE' ? `is in use${holder ? ` by ${holder}` : ''}` : `cannot be used (${code})`;
    throw new PortUnavailable(
      `${service} cannot listen on port ${port} of ${LOOPBACK}: the port ${why}. ` +
        `Stop what holds it, or set ${variable} to another port.`,
      { port, variable, ...(holder ? { holder } : {}) },
      { cause: error },
    );
  }
}

/**
 * A free port below those that systems hand out themselves (from 32768, or from 49152), so that no outgoing connection takes it
 * before the server does.
 */
export async function findFreePort(): Promise<number> {
  for (;;) {
    const port = await tryPort(randomInt(20_000, 32_000)).catch(() => 0);
    if (port > 0) return port;
  }
}

function tryPort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host: LOOPBACK, exclusive: true }, () => {
      server.close(() => {
        resolve(port);
      });
    });
  });
}

/** Whether anything accepts connections on this port of this machine. */
export function isListening(port: number, timeoutMs = 1_000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: LOOPBACK, timeout: timeoutMs });
    const end = (listening: boolean) => () => {
      socket.destroy();
      resolve(listening);
    };
    socket.once('connect', end(true)).once('error', end(false)).once('timeout', end(false));
  });
}

/** Who listens on a port, as far as /proc tells it to this user; undefined where there is no /proc. */
async function describeHolder(port: number): Promise<string | undefined> {
  const sockets = [...(await readSockets('/proc/net/tcp')), ...(await readSockets('/proc/net/tcp6'))];
  const socket = sockets.find((candidate) => candidate.port === port);
  if (!socket) return undefined;
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
      if (target !== `socket:[${socket.inode}]`) continue;
      const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'a process');
      return `${name.trim()} (pid ${pid})`;
    }
  }
  return `a process of the user with id ${socket.uid}`;
}

/** The listening sockets of a table in /proc/net: proc_net(5). */
async function readSockets(table: string): Promise<{ port: number; uid: string; inode: string }[]> {
  const text = await readFile(table, 'utf8').catch(() => '');
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === '0A')
    .map((fields) => ({
      port: Number.parseInt(fields[1]?.split(':')[1] ?? '', 16),
      uid: fields[7] ?? '?',
      inode: fields[9] ?? '',
    }));
}
