import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { RemoteConnection } from '../downloads/remote';
import { InvalidSetting } from '../errors';
import type { Settings } from '../settings';
import type { Remote } from './repository-models';

/** What is secret of a remote. */
export interface RemoteSecrets {
  readonly clientKey?: string;
  readonly username?: string;
  readonly password?: string;
  readonly proxyUsername?: string;
  readonly proxyPassword?: string;
  readonly headers?: readonly Readonly<Record<string, string>>[];
}

/** Encrypts and decrypts secrets with one key, by AES-256-GCM (NIST SP 800-38D): nonce, tag, ciphertext. */
export class SecretBox {
  constructor(private readonly key: Buffer) {}

  seal(secrets: RemoteSecrets): Buffer | null {
    if (Object.keys(secrets).length === 0) return null;
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.key, nonce);
    const sealed = Buffer.concat([cipher.update(JSON.stringify(secrets), 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
  }

  /** @throws {@link InvalidSetting} where the secrets were sealed with another key. */
  open(sealed: Buffer | null, remote: string): RemoteSecrets {
    if (!sealed) return {};
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.key, sealed.subarray(0, 12), { authTagLength: 16 });
      decipher.setAuthTag(sealed.subarray(12, 28));
      const opened = Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()]);
      return JSON.parse(opened.toString('utf8')) as RemoteSecrets;
    } catch (error) {
      throw new InvalidSetting(
        `The secrets of remote "${remote}" were encrypted with another key, or are damaged. Set PENSTOCK_SECRET_KEY to that key, or set the remote's secrets again.`,
        { remote },
        { cause: error },
      );
    }
  }
}

/**
 * The box for the key that the settings name: `PENSTOCK_SECRET_KEY`, or else a key file below the data folder, made at the
 * first use.
 */
export function openSecretBox(settings: Settings): SecretBox {
  const key = Buffer.from(settings.secretKey ?? readOrMakeKeyFile(settings.dataDir), 'base64');
  if (key.length !== 32) {
    const source = settings.secretKey === undefined ? `The key in ${keyFile(settings.dataDir)}` : 'PENSTOCK_SECRET_KEY';
    throw new InvalidSetting(
      `${source} must be 32 bytes in base64, as "openssl rand -base64 32" prints them; found ${key.length} bytes.`,
      { expected: '32 bytes', found: `${key.length} bytes` },
    );
  }
  return new SecretBox(key);
}

function keyFile(dataDir: string): string {
  return join(dataDir, 'secret.key');
}

function readOrMakeKeyFile(dataDir: string): string {
  const file = keyFile(dataDir);
  mkdirSync(dataDir, { recursive: true });
  const fresh = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  writeFileSync(fresh, randomBytes(32).toString('base64'), { mode: 0o600, flush: true });
  try {
    // Whole or not at all, and the first of two processes wins.
    linkSync(fresh, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(fresh, { force: true });
  }
  return readFileSync(file, 'utf8');
}

/** All that is needed to fetch from a remote, secrets in clear. */
export function connectionOf(remote: Remote, box: Pick<SecretBox, 'open'>): RemoteConnection {
  const secrets = box.open(remote.secrets, remote.name);
  return {
    name: remote.name,
    url: remote.url,
    downloadConcurrency: remote.downloadConcurrency,
    maxRetries: remote.maxRetries,
    rateLimit: remote.rateLimit,
    totalTimeout: remote.totalTimeout,
    connectTimeout: remote.connectTimeout,
    sockConnectTimeout: remote.sockConnectTimeout,
    sockReadTimeout: remote.sockReadTimeout,
    tlsValidation: remote.tlsValidation,
    caCert: remote.caCert,
    clientCert: remote.clientCert,
    proxyUrl: remote.proxyUrl,
    clientKey: secrets.clientKey ?? null,
    username: secrets.username ?? null,
    password: secrets.password ?? null,
    proxyUsername: secrets.proxyUsername ?? null,
    proxyPassword: secrets.proxyPassword ?? null,
    headers: secrets.headers ?? [],
  };
}
