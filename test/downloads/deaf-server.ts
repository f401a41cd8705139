import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';

/** Listens with room for one connection, then blocks its thread, so that nobody accepts any. */
const listener = `
  const { parentPort, workerData } = require('node:worker_threads');
  const server = require('node:net').createServer();
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    setImmediate(() => Atomics.wait(workerData, 0, 0));
  });
`;

/** A server whose queue is full: a connection to it is neither made nor refused. */
export class DeafServer {
  private constructor(
    readonly url: string,
    private readonly worker: Worker,
    private readonly wake: Int32Array,
    private readonly fillers: readonly Socket[],
  ) {}

  static async start(): Promise<DeafServer> {
    const wake = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(listener, { eval: true, workerData: wake });
    const [port] = (await once(worker, 'message')) as [number];
    await new Promise((resolve) => setTimeout(resolve, 20));
    const fillers: Socket[] = [];
    // The kernel keeps one more than the backlog; when a connection is no longer made at once, the queue is full.
    for (let made = true; made && fillers.length < 64;) {
      const socket = connect(port, '127.0.0.1').on('error', () => undefined);
      fillers.push(socket);
      made = await Promise.race([
        once(socket, 'connect').then(() => true),
        new Promise<boolean>((resolve) => setTimeout(resolve, 200, false)),
      ]);
    }
    return new DeafServer(`http://127.0.0.1:${port}/`, worker, wake, fillers);
  }

  async stop(): Promise<void> {
    for (const socket of this.fillers) socket.destroy();
    Atomics.store(this.wake, 0, 1);
    Atomics.notify(this.wake, 0);
    await this.worker.terminate();
  }
}
