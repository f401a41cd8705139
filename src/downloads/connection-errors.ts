import { PenstockError } from '../errors';
import {
  ConnectionFailed,
  DownloadTimeout,
  RefusedUrl,
  TlsFailed,
  UnexpectedStatus,
  type DownloadError,
} from './download-error';

const untrusted =
  /^(CERT_|ERR_TLS_|ERR_SSL_|ERR_OSSL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|UND_ERR_PRX_TLS|EPROTO)/;

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was reset',
  ENOTFOUND: 'the host name does not exist',
  EAI_AGAIN: 'the host name could not be looked up',
  ETIMEDOUT: 'the host does not answer',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
  UND_ERR_SOCKET: 'the connection was closed before the end',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the body is not as long as its content-length',
  UND_ERR_HEADERS_OVERFLOW: 'the headers are too large',
};

/** The limits that hold for a remote, in milliseconds. */
export interface Timeouts {
  readonly connect: number;
  readonly sockConnect: number;
  readonly sockRead: number;
}

/** A connection was not made in time; which url it was for is known further up. */
export class ConnectTimeout extends Error {
  constructor(readonly kind: 'connect' | 'sock_connect') {
    super(kind);
  }
}

/** Casts what undici, TLS and the system throw to the errors that we know. */
export function asConnectionError(thrown: unknown, url: string, timeouts: Timeouts): PenstockError {
  if (thrown instanceof PenstockError) return thrown;
  const error = thrown as NodeJS.ErrnoException;
  return asTimeout(error, url, timeouts) ?? asProxyAnswer(error, url) ?? asBroken(error, url);
}

function asTimeout(error: NodeJS.ErrnoException, url: string, timeouts: Timeouts): DownloadError | undefined {
  if (error instanceof ConnectTimeout) {
    return new DownloadTimeout(url, error.kind, error.kind === 'connect' ? timeouts.connect : timeouts.sockConnect);
  }
  switch (error.code) {
    case 'UND_ERR_CONNECT_TIMEOUT':
      return new DownloadTimeout(url, 'connect', timeouts.connect);
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return new DownloadTimeout(url, 'sock_read', timeouts.sockRead);
    default:
      return undefined;
  }
}

/** A tunnel that the proxy refuses comes as a text only. */
function asProxyAnswer(error: Error, url: string): DownloadError | undefined {
  const status = /^Proxy response \((\d+)\)/.exec(error.message)?.[1];
  if (status === undefined) return undefined;
  const hint = status === '407' ? 'look at proxy_username and proxy_password' : '';
  return new UnexpectedStatus(url, Number(status), { by: 'the proxy', hint });
}

function asBroken(error: NodeJS.ErrnoException, url: string): DownloadError {
  const code = error.code ?? '';
  if (untrusted.test(code)) return new TlsFailed(url, error.message.split('\n', 1)[0] ?? code, error);
  if (code === 'UND_ERR_INVALID_ARG') return new RefusedUrl(url, error.message, 'a url that HTTP can carry');
  const reason = reasons[code] ?? `the connection failed (${code || error.message})`;
  return new ConnectionFailed(url, reason, code !== 'ENOTFOUND', error);
}
