import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

import { InvalidSetting } from './errors';
import { readStoragePlace } from './storage/storage-place';
import type { StoragePlace } from './storage/storage-place';

/** What the environment says, read once at the start of a process. The README lists every variable. */
export interface Settings {
  /** Where the embedded services, the secret key and, unless `storage` says otherwise, artifacts lie. */
  readonly dataDir: string;
  /** Where artifacts lie: `PENSTOCK_STORAGE`, else below `dataDir`. */
  readonly storage: StoragePlace;
  /** Whether clients are sent to urls of the store itself for what lies in it. */
  readonly contentRedirect: boolean;
  /** PostgreSQL by address; absent: the embedded one. */
  readonly databaseUrl?: string;
  /** Whether Temporal is given by address (`TEMPORAL_ADDRESS`, or a profile of Temporal's own configuration file). */
  readonly temporalGiven: boolean;
  readonly taskQueue: string;
  /** Folders below which `file://` urls may be read. */
  readonly allowedFilePaths: readonly string[];
  /** Whether sha1 or md5 may be the only known digest of an artifact. */
  readonly allowWeakDigests: boolean;
  /** The key that secrets are encrypted with, 32 bytes in base64; absent: a key file below `dataDir`. */
  readonly secretKey?: string;
  /** Ports of the embedded services. */
  readonly ports: { readonly postgres: number; readonly temporal: number; readonly ui: number };
  readonly logLevel: LogLevel;
  /** Where a worker answers for those who watch it; absent: nowhere. */
  readonly httpAddress?: Address;
  /** Where the content app listens. */
  readonly contentAddress: Address;
  /** What stands before a storage key in `X-Accel-Redirect`, by which a web server in front sends stored files; absent: the app sends them. */
  readonly contentAccel?: string;
  /** Files with the certificate of the content app and its key, in PEM; absent: plain HTTP. */
  readonly contentTls?: { readonly cert: string; readonly key: string };
  /** Where clients find the content app, for urls that are shown: scheme, host and port. */
  readonly contentOrigin: string;
  /** Whether the content app believes a proxy in front of it what the client's certificate is. */
  readonly contentTrustProxy: boolean;
  /** Whether traces are sent: OpenTelemetry's own variables say where to, and how. */
  readonly tracing: boolean;
  /** Temporal's worker deployment versioning; absent: off. */
  readonly versioning?: VersioningSettings;
}

/** What a server listens on; port 0 is any free one. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Which version of a deployment a worker is, and whether syncs stay with the version that they began on. */
export interface VersioningSettings {
  readonly behavior: 'pinned' | 'auto-upgrade';
  readonly deploymentName: string;
  /** Absent: a digest of the workflows' code. */
  readonly buildId?: string;
}

/** How much is logged, the most first. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the settings.
 *
 * @throws {@link InvalidSetting} naming the variable, what was expected and what was found.
 */
export function readSettings(environment: Environment = process.env): Settings {
  // An empty variable is one that is not set, as in a compose file.
  const env: Environment = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const dataDir = resolve(env.PENSTOCK_DATA ?? defaultDataDir(env));
  const storage = readStoragePlace(env, dataDir);
  return {
    dataDir,
    storage,
    contentRedirect: readContentRedirect(env, storage),
    ...(env.DATABASE_URL ? { databaseUrl: env.DATABASE_URL } : {}),
    temporalGiven: isTemporalGiven(env),
    taskQueue: env.PENSTOCK_TASK_QUEUE ?? 'penstock',
    allowedFilePaths: (env.PENSTOCK_ALLOWED_FILE_PATHS ?? '')
      .split(':')
      .filter(Boolean)
      .map((path) => resolve(path)),
    allowWeakDigests: readBoolean(env, 'PENSTOCK_ALLOW_WEAK_DIGESTS'),
    ...(env.PENSTOCK_SECRET_KEY ? { secretKey: env.PENSTOCK_SECRET_KEY } : {}),
    ports: {
      postgres: readPort(env, 'PENSTOCK_POSTGRES_PORT', 15432),
      temporal: readPort(env, 'PENSTOCK_TEMPORAL_PORT', 17233),
      ui: readPort(env, 'PENSTOCK_TEMPORAL_UI_PORT', 18233),
    },
    logLevel: readLogLevel(env),
    ...(env.PENSTOCK_HTTP_ADDRESS ? { httpAddress: readAddress(env, 'PENSTOCK_HTTP_ADDRESS', '127.0.0.1:9464') } : {}),
    contentOrigin: readOrigin(env, 'PENSTOCK_CONTENT_ORIGIN', 'http://127.0.0.1:24816'),
    contentTrustProxy: readBoolean(env, 'PENSTOCK_CONTENT_TRUST_PROXY'),
    contentAddress: readAddress(env, 'PENSTOCK_CONTENT_ADDRESS', '127.0.0.1:24816'),
    ...readContentAccel(env),
    ...readContentTls(env),
    tracing:
      Boolean(env.OTEL_EXPORTER_OTLP_ENDPOINT ?? env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) &&
      env.OTEL_SDK_DISABLED?.toLowerCase() !== 'true',
    ...readVersioning(env),
  };
}

function isTemporalGiven(env: Environment): boolean {
  return Boolean(env.TEMPORAL_ADDRESS ?? env.TEMPORAL_PROFILE ?? env.TEMPORAL_CONFIG_FILE);
}

/** The names are those that Temporal's worker controller for Kubernetes gives its workers. */
function readVersioning(env: Environment): Pick<Settings, 'versioning'> {
  const behavior = env.PENSTOCK_VERSIONING;
  const deploymentName = env.TEMPORAL_DEPLOYMENT_NAME;
  const buildId = env.TEMPORAL_WORKER_BUILD_ID;
  if (behavior === undefined) {
    const given = deploymentName === undefined ? 'TEMPORAL_WORKER_BUILD_ID' : 'TEMPORAL_DEPLOYMENT_NAME';
    if (deploymentName === undefined && buildId === undefined) return {};
    throw new InvalidSetting(
      `${given} is set, but PENSTOCK_VERSIONING is not: set it to pinned or auto-upgrade, or unset ${given}.`,
      { expected: 'pinned or auto-upgrade' },
    );
  }
  if (behavior !== 'pinned' && behavior !== 'auto-upgrade') {
    throw new InvalidSetting(`PENSTOCK_VERSIONING must be pinned or auto-upgrade; found "${behavior}".`, {
      expected: 'pinned or auto-upgrade',
      found: behavior,
    });
  }
  if (deploymentName === undefined) {
    throw new InvalidSetting(
      `PENSTOCK_VERSIONING is ${behavior}, but TEMPORAL_DEPLOYMENT_NAME is not set: name the deployment that the workers are a version of, such as penstock.`,
      { expected: 'a name' },
    );
  }
  if (!isTemporalGiven(env)) {
    throw new InvalidSetting(
      `PENSTOCK_VERSIONING is ${behavior}, but Temporal is not given by address: the embedded one has one worker, and no versions to choose from. Set TEMPORAL_ADDRESS, or unset PENSTOCK_VERSIONING.`,
    );
  }
  checkVersionName('TEMPORAL_DEPLOYMENT_NAME', deploymentName);
  if (buildId !== undefined) checkVersionName('TEMPORAL_WORKER_BUILD_ID', buildId);
  return { versioning: { behavior, deploymentName, ...(buildId === undefined ? {} : { buildId }) } };
}

/** Temporal joins the two to one name, and searches by it. */
function checkVersionName(variable: string, found: string): void {
  if (/^[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}$/.test(found)) return;
  throw new InvalidSetting(
    `${variable} must be letters, digits and ._/- (200 at most), and begin with a letter or a digit; found ${JSON.stringify(found)}.`,
    { found },
  );
}

/** Root's data lies where the Filesystem Hierarchy Standard puts it; a user's where the XDG Base Directory spec does. */
function defaultDataDir(env: Environment): string {
  if (process.getuid?.() === 0) return '/var/lib/penstock';
  return join(env.XDG_DATA_HOME ?? join(homedir(), '.local', 'share'), 'penstock');
}

function readContentRedirect(env: Environment, { kind }: StoragePlace): boolean {
  const redirect = readBoolean(env, 'PENSTOCK_CONTENT_REDIRECT');
  if (!redirect || kind === 's3') return redirect;
  throw new InvalidSetting(
    'PENSTOCK_CONTENT_REDIRECT is true, but files in a folder have no urls to redirect to: set PENSTOCK_STORAGE to s3://bucket/prefix, or unset PENSTOCK_CONTENT_REDIRECT.',
    { expected: 's3://…' },
  );
}

function readPort(env: Environment, name: string, standard: number): number {
  const given = env[name];
  if (!given) return standard;
  const port = Number(given);
  if (/^\d+$/.test(given) && port > 0 && port < 65536) return port;
  throw new InvalidSetting(`${name} must be a port from 1 to 65535; found "${given}".`, { found: given });
}

function readBoolean(env: Environment, name: string): boolean {
  const given = env[name];
  if (!given || given === 'false' || given === '0') return false;
  if (given === 'true' || given === '1') return true;
  throw new InvalidSetting(`${name} must be true or false; found "${given}".`, { found: given });
}

function readLogLevel(env: Environment): LogLevel {
  const given = env.PENSTOCK_LOG_LEVEL ?? 'warn';
  const level = logLevels.find((each) => each === given);
  if (level) return level;
  const expected = logLevels.join(', ');
  throw new InvalidSetting(`PENSTOCK_LOG_LEVEL must be one of ${expected}; found "${given}".`, {
    expected,
    found: given,
  });
}

function readOrigin(env: Environment, name: string, standard: string): string {
  const given = env[name] ?? standard;
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url && /^https?:$/.test(url.protocol) && [url.origin, `${url.origin}/`].includes(url.href)) return url.origin;
  throw new InvalidSetting(
    `${name} must be http:// or https:// with a host, and a port if need be, as https://mirror.example; found "${withoutUser(given)}".`,
    { expected: 'https://host', found: withoutUser(given) },
  );
}

function withoutUser(url: string): string {
  return url.replace(/[^/]*@/, '…@');
}

function readAddress(env: Environment, variable: string, standard: string): Address {
  const given = env[variable] ?? standard;
  // A name or an IPv4 address, or an IPv6 address in brackets; 0 is any free port.
  const [, name, ipv6, port] = /^(?:([\w.-]+)|\[([\da-f:.]+)\]):(\d{1,5})$/i.exec(given) ?? [];
  const host = name ?? ipv6;
  if (host !== undefined && Number(port) < 65536) return { host, port: Number(port) };
  throw new InvalidSetting(`${variable} must be a host and a port, as ${standard}; found "${given}".`, {
    expected: 'host:port',
    found: given,
  });
}

function readContentAccel(env: Environment): Pick<Settings, 'contentAccel'> {
  const given = env.PENSTOCK_CONTENT_ACCEL;
  if (!given) return {};
  if (/^\/(?:[\w.-]+\/)+$/.test(given)) return { contentAccel: given };
  throw new InvalidSetting(
    `PENSTOCK_CONTENT_ACCEL must be a path that begins and ends with a slash, as /penstock-files/; found "${given}".`,
    { expected: '/penstock-files/', found: given },
  );
}

function readContentTls(env: Environment): Pick<Settings, 'contentTls'> {
  const cert = env.PENSTOCK_CONTENT_TLS_CERT;
  const key = env.PENSTOCK_CONTENT_TLS_KEY;
  if (cert && key) return { contentTls: { cert: resolve(cert), key: resolve(key) } };
  if (!cert && !key) return {};
  throw new InvalidSetting(
    `PENSTOCK_CONTENT_TLS_CERT and PENSTOCK_CONTENT_TLS_KEY must both be set, or neither; ${cert ? 'the key' : 'the certificate'} is missing.`,
    { expected: 'two paths' },
  );
}
