import { UnusableRemote } from './download-error';
import type { RemoteConnection } from './remote';
import { userAgent } from './user-agent';

type Headers = Readonly<Record<string, string>>;

/** What the client sets for itself, and what would change how a message is read. */
const reserved: ReadonlySet<string> = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'if-range',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** What of a remote's own headers goes to other origins too. Any other may hold a secret. */
const harmless: ReadonlySet<string> = new Set(['accept', 'accept-language', 'user-agent']);

/** The headers of every request of a remote. */
export interface RequestHeaders {
  /** For the origin of the remote's url: with credentials. */
  readonly own: Headers;
  /** For any other origin, whether a redirect or upstream's metadata led there. */
  readonly foreign: Headers;
}

/**
 * Makes the headers of every request of a remote. Bodies are asked for as they are (`identity`), since digests are of those bytes.
 *
 * @throws {@link UnusableRemote}
 */
export function makeRequestHeaders(remote: RemoteConnection): RequestHeaders {
  const standard = { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': userAgent() };
  const configured = joinHeaders(remote);
  const kept = Object.fromEntries(Object.entries(configured).filter(([name]) => harmless.has(name)));
  const credentials = remote.username === null ? {} : { authorization: basic(remote.username, remote.password) };
  return { own: { ...standard, ...credentials, ...configured }, foreign: { ...standard, ...kept } };
}

/** RFC 7617, in UTF-8. */
export function basic(username: string, password: string | null): string {
  return `Basic ${Buffer.from(`${username}:${password ?? ''}`, 'utf8').toString('base64')}`;
}

function joinHeaders(remote: RemoteConnection): Record<string, string> {
  const joined: Record<string, string> = {};
  for (const [given, value] of remote.headers.flatMap((header) => Object.entries(header))) {
    const name = given.toLowerCase();
    // The value is a secret, perhaps: it is not shown.
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) throw unusable(remote, given, 'its name is no token');
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value))
      throw unusable(remote, given, 'its value has characters that cannot be sent');
    if (reserved.has(name)) throw unusable(remote, given, 'Penstock sets it itself');
    const before = joined[name];
    joined[name] = before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`;
  }
  return joined;
}

function unusable(remote: RemoteConnection, name: string, why: string): UnusableRemote {
  const shown = JSON.stringify(name);
  return new UnusableRemote(`The header ${shown} of the remote ${remote.name} cannot be sent: ${why}.`, {
    remote: remote.name,
    found: shown,
  });
}
