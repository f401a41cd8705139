import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

/** A forward proxy that wants basic auth: it forwards `http` and tunnels the rest. */
export class Proxy {
  /** The request lines that it let pass. */
  readonly seen: string[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor(
    readonly url: string,
    private readonly server: Server,
  ) {}

  static async start(credentials: { readonly username: string; readonly password: string }): Promise<Proxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new Proxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, server);
    const expected = `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
    const allowed = (given: IncomingMessage) => given.headers['proxy-authorization'] === expected;

    server.on('request', (given, response) => {
      if (!allowed(given)) {
        response.writeHead(407, { 'proxy-authenticate': 'Basic' }).end();
        return;
      }
      proxy.seen.push(`${given.method ?? ''} ${given.url ?? ''}`);
      const headers = { ...given.headers };
      delete headers['proxy-authorization'];
      request(given.url ?? '', { headers }, (answer) => {
        answer.pipe(response.writeHead(answer.statusCode ?? 502, answer.headers));
      }).end();
    });
    server.on('connect', (given: IncomingMessage, socket: Socket) => {
      proxy.#sockets.add(socket.on('error', () => undefined));
      if (!allowed(given)) {
        socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
        return;
      }
      proxy.seen.push(`CONNECT ${given.url ?? ''}`);
      const { hostname, port } = new URL(`http://${given.url ?? ''}`);
      const target = connect(Number(port), hostname, () => {
        socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        target.pipe(socket).pipe(target);
      }).on('error', () => socket.destroy());
      socket.on('close', () => target.destroy());
    });
    return proxy;
  }

  async stop(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
