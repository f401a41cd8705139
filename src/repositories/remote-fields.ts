import { X509Certificate, createPrivateKey } from 'node:crypto';

import type { Policy } from '../models/repository-models';
import { policies } from '../models/repository-models';
import type { RemoteSecrets } from '../models/remote-secrets';
import { faultOfUrl } from '../plugins/declared-values';
import { InvalidValue } from './errors';

/** What can be set of a remote; `null` stands for nothing: no limit, no certificate, no secret. */
export interface RemoteFields {
  readonly url: string;
  readonly policy: Policy;
  readonly downloadConcurrency: number;
  readonly maxRetries: number;
  /** Requests a second. */
  readonly rateLimit: number | null;
  /** Seconds, as all timeouts. */
  readonly totalTimeout: number | null;
  readonly connectTimeout: number | null;
  readonly sockConnectTimeout: number | null;
  readonly sockReadTimeout: number | null;
  readonly tlsValidation: boolean;
  /** PEM. */
  readonly caCert: string | null;
  readonly clientCert: string | null;
  readonly clientKey: string | null;
  readonly username: string | null;
  readonly password: string | null;
  readonly proxyUrl: string | null;
  readonly proxyUsername: string | null;
  readonly proxyPassword: string | null;
  readonly headers: readonly Readonly<Record<string, string>>[] | null;
}

export type RemoteChanges = { readonly [K in keyof RemoteFields]?: RemoteFields[K] | undefined };

/** The fields that are encrypted, and never shown. */
export const secretFields = [
  'clientKey',
  'username',
  'password',
  'proxyUsername',
  'proxyPassword',
  'headers',
] as const satisfies readonly (keyof RemoteSecrets)[];

/** The fields that are shown as they are. */
export const openFields = [
  'url',
  'policy',
  'downloadConcurrency',
  'maxRetries',
  'rateLimit',
  'totalTimeout',
  'connectTimeout',
  'sockConnectTimeout',
  'sockReadTimeout',
  'tlsValidation',
  'caCert',
  'clientCert',
  'proxyUrl',
] as const satisfies readonly (keyof RemoteFields)[];

/**
 * Checks values that a user wants to set, each for itself.
 *
 * @throws {@link InvalidValue} naming the field, what was expected and what was found; never a secret.
 */
export function checkRemoteFields(fields: RemoteChanges): void {
  checkUrl(fields.url);
  if (fields.policy !== undefined && !policies.includes(fields.policy)) {
    const expected = policies.join(', ');
    throw new InvalidValue('policy', `expected one of ${expected}; found "${fields.policy}".`, {
      expected,
      found: fields.policy,
    });
  }
  checkNumber('download concurrency', fields.downloadConcurrency, { from: 1, to: 1000, whole: true });
  checkNumber('max retries', fields.maxRetries, { from: 0, to: 100, whole: true });
  checkNumber('rate limit', fields.rateLimit, { from: 1, to: 2 ** 31 - 1, whole: true });
  checkNumber('total timeout', fields.totalTimeout, seconds);
  checkNumber('connect timeout', fields.connectTimeout, seconds);
  checkNumber('sock connect timeout', fields.sockConnectTimeout, seconds);
  checkNumber('sock read timeout', fields.sockReadTimeout, seconds);
  checkCertificate('CA certificate', fields.caCert);
  checkCertificate('client certificate', fields.clientCert);
  checkClientKey(fields.clientKey);
  checkProxyUrl(fields.proxyUrl);
  checkHeaders(fields.headers);
}

/**
 * Checks what only makes sense together, once changes are applied.
 *
 * @throws {@link InvalidValue}
 */
export function checkTogether(fields: Partial<RemoteFields>): void {
  const lonely = (one: unknown, other: unknown) => Boolean(one) && !other;
  if (lonely(fields.clientKey, fields.clientCert))
    throw new InvalidValue('client key', 'it is used together with a client certificate, and there is none.');
  if (lonely(fields.password, fields.username))
    throw new InvalidValue('password', 'it is used together with a username, and there is none.');
  if (lonely(fields.proxyPassword, fields.proxyUsername))
    throw new InvalidValue('proxy password', 'it is used together with a proxy username, and there is none.');
}

const seconds = { from: 0.001, to: 30 * 86_400, whole: false };

function checkNumber(
  field: string,
  value: number | null | undefined,
  { from, to, whole }: { readonly from: number; readonly to: number; readonly whole: boolean },
): void {
  if (value === undefined || value === null) return;
  if (value >= from && value <= to && (!whole || Number.isInteger(value))) return;
  const expected = `a ${whole ? 'whole ' : ''}number from ${from} to ${to}`;
  throw new InvalidValue(field, `expected ${expected}; found ${value}.`, { expected, found: String(value) });
}

function checkUrl(url: string | undefined): void {
  if (url === undefined) return;
  const fault = faultOfUrl(url);
  if (fault === undefined) return;
  const hint = fault.includes('credentials') ? ' (--username and --password-file on the command line)' : '';
  throw new InvalidValue('url', `${withoutCredentials(url)}: ${fault}${hint}.`, {
    expected: 'http://…, https://… or file:///…',
  });
}

function checkProxyUrl(url: string | null | undefined): void {
  if (url === undefined || url === null) return;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || !['http:', 'https:'].includes(parsed.protocol)) {
    throw new InvalidValue(
      'proxy url',
      `expected http://host:port or https://host:port; found "${withoutCredentials(url)}".`,
    );
  }
  if (parsed.username || parsed.password) {
    throw new InvalidValue(
      'proxy url',
      'it has credentials inside; set the proxy username and the proxy password instead (--proxy-username and --proxy-password-file on the command line).',
    );
  }
}

/** Also of what is no url, as far as it looks like one. */
function withoutCredentials(url: string): string {
  return url.slice(0, 500).replace(/^([^/]*\/\/)?[^/?#]*@/, '$1…@');
}

function checkCertificate(field: string, pem: string | null | undefined): void {
  if (pem === undefined || pem === null) return;
  try {
    new X509Certificate(pem);
  } catch {
    throw new InvalidValue(field, 'expected a certificate in PEM form (-----BEGIN CERTIFICATE-----).');
  }
}

function checkClientKey(pem: string | null | undefined): void {
  if (pem === undefined || pem === null) return;
  try {
    createPrivateKey(pem);
  } catch {
    throw new InvalidValue('client key', 'expected a private key in PEM form, without a passphrase.');
  }
}

function checkHeaders(headers: RemoteFields['headers'] | undefined): void {
  for (const [name, value] of (headers ?? []).flatMap((header) => Object.entries(header))) {
    // RFC 9110, 5.1 and 5.5: a token, and a value without control characters.
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
      throw new InvalidValue('header', `"${name.slice(0, 100)}" is not the name of a header.`);
    }
    if (/[^\t\u0020-\u007e\u0080-\u00ff]/.test(value)) {
      throw new InvalidValue('header', `the value of ${name} has a character that a header cannot hold.`);
    }
  }
}
