import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

/** Ends a part: the next request gets the next one, and requests after the last of them get that again. */
export const separator = '\n%%next%%\n';
/** At the end of a part: the connection stays open, and nothing more comes. */
export const stall = '%%stall%%';
/** At the end of a part: it is sent again and again. */
export const endless = '%%endless%%';

/** Answers with bytes, whatever they are; as it is asked as a proxy, no url leads anywhere else. */
export class HostileServer {
  private parts: readonly Buffer[] = [];
  private asked = 0;
  private readonly sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  static async start(): Promise<HostileServer> {
    const listening = createServer();
    const server = new HostileServer(listening);
    listening.on('connection', (socket) => {
      server.accept(socket);
    });
    listening.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** What the next requests are answered with. */
  answerWith(input: Buffer): void {
    const parts: Buffer[] = [];
    let start = 0;
    for (let end = input.indexOf(separator); end >= 0; end = input.indexOf(separator, start)) {
      parts.push(input.subarray(start, end));
      start = end + separator.length;
    }
    this.parts = [...parts, input.subarray(start)];
    this.asked = 0;
  }

  async stop(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private accept(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.sockets.delete(socket));
    // One request for each connection, and each fits into one packet.
    socket.once('data', () => {
      const part = this.parts[Math.min(this.asked, this.parts.length - 1)] ?? Buffer.alloc(0);
      this.asked += 1;
      answer(socket, part);
    });
  }
}

function answer(socket: Socket, part: Buffer): void {
  const text = part.toString('latin1');
  if (text.endsWith(stall)) {
    socket.write(part.subarray(0, -stall.length));
  } else if (text.endsWith(endless)) {
    const bytes = part.subarray(0, -endless.length);
    const more = () => {
      while (!socket.destroyed && socket.write(bytes.length > 0 ? bytes : 'endless'));
    };
    socket.on('drain', more);
    more();
  } else {
    socket.end(part);
  }
}
