import { describe, expect, it } from '@jest/globals';

import { InvalidSetting } from '../../src/errors';
import { readSettings } from '../../src/settings';

/** The message that refuses an environment. */
function refusalOf(environment: Record<string, string>): string {
  try {
    readSettings(environment);
  } catch (error) {
    if (error instanceof InvalidSetting) return error.message;
    throw error;
  }
  throw new Error('The environment was taken.');
}

describe('the settings', () => {
  it('have a value where the environment says nothing', () => {
    const settings = readSettings({ PENSTOCK_DATA: '/srv/penstock' });
    expect(settings).toEqual({
      dataDir: '/srv/penstock',
      storage: { kind: 'file', root: '/srv/penstock/storage' },
      contentRedirect: false,
      temporalGiven: false,
      taskQueue: 'penstock',
      allowedFilePaths: [],
      allowWeakDigests: false,
      ports: { postgres: 15432, temporal: 17233, ui: 18233 },
      logLevel: 'warn',
      contentAddress: { host: '127.0.0.1', port: 24816 },
      contentOrigin: 'http://127.0.0.1:24816',
      contentTrustProxy: false,
      tracing: false,
    });
  });

  it('take an empty variable for one that is not set, as in a compose file', () => {
    const empty = { PENSTOCK_STORAGE: '', DATABASE_URL: '', TEMPORAL_ADDRESS: '', PENSTOCK_POSTGRES_PORT: '' };
    expect(readSettings({ PENSTOCK_DATA: '/srv/penstock', ...empty })).toEqual(
      readSettings({ PENSTOCK_DATA: '/srv/penstock' }),
    );
  });

  it('say how content is served', () => {
    const given = {
      PENSTOCK_CONTENT_ADDRESS: '[::1]:80',
      PENSTOCK_CONTENT_ACCEL: '/penstock-files/',
      PENSTOCK_CONTENT_TLS_CERT: '/etc/cert.pem',
      PENSTOCK_CONTENT_TLS_KEY: '/etc/key.pem',
    };
    expect(readSettings(given)).toMatchObject({
      contentAddress: { host: '::1', port: 80 },
      contentAccel: '/penstock-files/',
      contentTls: { cert: '/etc/cert.pem', key: '/etc/key.pem' },
    });
    expect(refusalOf({ PENSTOCK_CONTENT_ADDRESS: '24816' })).toContain(
      'PENSTOCK_CONTENT_ADDRESS must be a host and a port',
    );
    expect(refusalOf({ PENSTOCK_CONTENT_ACCEL: 'files' })).toContain('begins and ends with a slash');
    expect(refusalOf({ PENSTOCK_CONTENT_TLS_CERT: 'cert.pem' })).toContain('the key is missing');
  });

  it('take what is given', () => {
    expect(
      readSettings({
        PENSTOCK_DATA: '/srv/penstock',
        PENSTOCK_STORAGE: 'file:///mnt/large%20disk/penstock',
        DATABASE_URL: 'postgres://db/penstock',
        TEMPORAL_ADDRESS: 'temporal:7233',
        PENSTOCK_TASK_QUEUE: 'mirrors',
        PENSTOCK_ALLOWED_FILE_PATHS: '/srv/one:/srv/two/',
        PENSTOCK_ALLOW_WEAK_DIGESTS: 'true',
        PENSTOCK_TEMPORAL_UI_PORT: '8080',
      }),
    ).toMatchObject({
      storage: { kind: 'file', root: '/mnt/large disk/penstock' },
      databaseUrl: 'postgres://db/penstock',
      temporalGiven: true,
      taskQueue: 'mirrors',
      allowedFilePaths: ['/srv/one', '/srv/two'],
      allowWeakDigests: true,
      ports: { postgres: 15432, ui: 8080 },
    });
  });

  it.each([
    'relative/folder',
    '/srv/penstock',
    'https://bucket.s3.amazonaws.com/',
    'file://host/srv',
    'file:///srv?x=1',
    'file:///%zz',
    'file:///a%2Fb',
  ])('refuse the storage %j, naming the variable', (given) => {
    expect(refusalOf({ PENSTOCK_STORAGE: given })).toBe(
      `PENSTOCK_STORAGE must be a url such as file:///srv/penstock or s3://bucket/prefix; found "${given}".`,
    );
  });

  it.each([
    ['s3://mirrors', {}, { bucket: 'mirrors', prefix: '', pathStyle: false }],
    ['s3://mirrors/', {}, { bucket: 'mirrors', prefix: '', pathStyle: false }],
    ['s3://my.mirrors-1/a/b/', {}, { bucket: 'my.mirrors-1', prefix: 'a/b', pathStyle: false }],
    [
      's3://mirrors/a',
      { AWS_ENDPOINT_URL_S3: 'http://minio:9000' },
      { bucket: 'mirrors', prefix: 'a', pathStyle: true },
    ],
    ['s3://mirrors', { AWS_ENDPOINT_URL: 'http://minio:9000' }, { bucket: 'mirrors', prefix: '', pathStyle: true }],
  ])('take %j for a place in a bucket', (PENSTOCK_STORAGE, env, place) => {
    expect(readSettings({ PENSTOCK_STORAGE, ...env }).storage).toEqual({ kind: 's3', ...place });
  });

  it.each([
    ['s3://ab', 'expected a bucket of 3 to 63 small letters'],
    ['s3://Mirrors', 'expected a bucket'],
    ['s3://mir..rors', 'expected a bucket'],
    ['s3://10.0.0.1/a', 'expected a bucket'],
    ['s3:mirrors', 'expected a bucket'],
    ['s3:///a', 'expected a bucket'],
    ['s3://mirrors:9000/a', 'AWS_ENDPOINT_URL_S3'],
    ['s3://mirrors/a//b', 'expected a prefix of names'],
    ['s3://mirrors/a%20b', 'expected a prefix of names'],
    [`s3://mirrors/${'a'.repeat(513)}`, '512 characters at most'],
    ['s3://mirrors/a?region=x', 'nothing behind'],
    ['s3://mirrors/a#b', 'nothing behind'],
    ['s3://AKIA123:hunter2@mirrors/a', 'no credentials in it'],
  ])('refuse the place %j, and say no secret', (given, message) => {
    expect(refusalOf({ PENSTOCK_STORAGE: given })).toContain(message);
    expect(refusalOf({ PENSTOCK_STORAGE: given })).not.toContain('hunter2');
  });

  it('take a redirect to the store only where that has urls', () => {
    const redirect = { PENSTOCK_CONTENT_REDIRECT: 'true' };
    expect(readSettings({ PENSTOCK_STORAGE: 's3://mirrors', ...redirect }).contentRedirect).toBe(true);
    expect(refusalOf(redirect)).toMatch(/^PENSTOCK_CONTENT_REDIRECT is true, but files in a folder have no urls/);
  });

  it.each(['0', '65536', '-1', '80.5', '1e3', '0x50', ' 80', 'http'])('refuse the port %j', (given) => {
    expect(refusalOf({ PENSTOCK_POSTGRES_PORT: given })).toBe(
      `PENSTOCK_POSTGRES_PORT must be a port from 1 to 65535; found "${given}".`,
    );
  });

  it('refuse a log level that there is not', () => {
    expect(refusalOf({ PENSTOCK_LOG_LEVEL: 'loud' })).toBe(
      'PENSTOCK_LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent; found "loud".',
    );
  });

  it.each([
    ['127.0.0.1:9464', { host: '127.0.0.1', port: 9464 }],
    ['[::1]:0', { host: '::1', port: 0 }],
    ['worker.example:80', { host: 'worker.example', port: 80 }],
  ])('take %j for an address to listen on', (given, httpAddress) => {
    expect(readSettings({ PENSTOCK_HTTP_ADDRESS: given })).toMatchObject({ httpAddress });
  });

  it.each(['9464', ':9464', '127.0.0.1', '::1:9464', '127.0.0.1:65536', 'http://127.0.0.1:80'])(
    'refuse %j where an address to listen on is meant',
    (given) => {
      expect(refusalOf({ PENSTOCK_HTTP_ADDRESS: given })).toContain('PENSTOCK_HTTP_ADDRESS must be a host and a port');
    },
  );

  it.each([
    ['https://mirror.example', 'https://mirror.example'],
    ['HTTP://Mirror.example:8080/', 'http://mirror.example:8080'],
    ['https://[::1]:443', 'https://[::1]'],
  ])('take %j for where clients find the content app', (given, contentOrigin) => {
    expect(readSettings({ PENSTOCK_CONTENT_ORIGIN: given })).toMatchObject({ contentOrigin });
  });

  it.each([
    'mirror.example',
    'ftp://mirror.example',
    'https://mirror.example/pulp',
    'https://x?y',
    'https://me:hunter2@x',
  ])('refuse %j for where clients find the content app', (given) => {
    const refusal = refusalOf({ PENSTOCK_CONTENT_ORIGIN: given });
    expect(refusal).toContain('PENSTOCK_CONTENT_ORIGIN must be http:// or https:// with a host');
    expect(refusal).not.toContain('hunter2');
  });

  it.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }, true],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://collector:4318/v1/traces' }, true],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318', OTEL_SDK_DISABLED: 'true' }, false],
    [{ OTEL_SDK_DISABLED: 'false' }, false],
  ])('say of %j whether traces are sent', (environment, tracing) => {
    expect(readSettings(environment)).toMatchObject({ tracing });
  });

  it.each(['yes', 'TRUE', '2'])('refuse %j where true or false is meant', (given) => {
    expect(refusalOf({ PENSTOCK_ALLOW_WEAK_DIGESTS: given })).toContain('PENSTOCK_ALLOW_WEAK_DIGESTS');
  });

  describe('of versioning', () => {
    const given = { TEMPORAL_ADDRESS: 'temporal:7233', TEMPORAL_DEPLOYMENT_NAME: 'mirrors/penstock' };

    it('turn it on by one variable, with the names that Temporal gives a worker', () => {
      expect(readSettings({ ...given, PENSTOCK_VERSIONING: 'pinned' }).versioning).toEqual({
        behavior: 'pinned',
        deploymentName: 'mirrors/penstock',
      });
      const all = { ...given, PENSTOCK_VERSIONING: 'auto-upgrade', TEMPORAL_WORKER_BUILD_ID: '1.2.0-a3f' };
      expect(readSettings(all).versioning).toEqual({
        behavior: 'auto-upgrade',
        deploymentName: 'mirrors/penstock',
        buildId: '1.2.0-a3f',
      });
    });

    it.each([
      [{ ...given }, 'TEMPORAL_DEPLOYMENT_NAME is set, but PENSTOCK_VERSIONING is not'],
      [{ TEMPORAL_WORKER_BUILD_ID: '1' }, 'TEMPORAL_WORKER_BUILD_ID is set, but PENSTOCK_VERSIONING is not'],
      [{ ...given, PENSTOCK_VERSIONING: 'on' }, 'PENSTOCK_VERSIONING must be pinned or auto-upgrade; found "on"'],
      [{ TEMPORAL_ADDRESS: 'a:1', PENSTOCK_VERSIONING: 'pinned' }, 'TEMPORAL_DEPLOYMENT_NAME is not set'],
      [{ TEMPORAL_DEPLOYMENT_NAME: 'p', PENSTOCK_VERSIONING: 'pinned' }, 'Temporal is not given by address'],
      [
        { ...given, TEMPORAL_DEPLOYMENT_NAME: 'a b', PENSTOCK_VERSIONING: 'pinned' },
        'TEMPORAL_DEPLOYMENT_NAME must be',
      ],
      [
        { ...given, TEMPORAL_WORKER_BUILD_ID: 'x:y', PENSTOCK_VERSIONING: 'pinned' },
        'TEMPORAL_WORKER_BUILD_ID must be',
      ],
    ])('refuse %j', (environment, message) => {
      expect(refusalOf(environment as Record<string, string>)).toContain(message);
    });
  });
});
