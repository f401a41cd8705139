import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

import { copiedSources, jsonForm, of, readDockerfile } from './dockerfile';
import { variablesOfPenstock, variablesOfTemporal } from './known-variables';

const root = join(__dirname, '..', '..');
const run = promisify(execFile);

interface Service {
  readonly image: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly restart?: string;
  readonly init?: boolean;
  readonly profiles?: readonly string[];
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly configs?: readonly { readonly source: string }[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly configs: Readonly<Record<string, unknown>>;
}

const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
const compose = parse(text, { merge: true }) as Compose;
const services = Object.entries(compose.services);
const ours = services.filter(([, { build }]) => build !== undefined);
const dockerfile = readDockerfile(readFileSync(join(root, 'Dockerfile'), 'utf8'));

/** What the images of others document. */
const documented: Readonly<Record<string, readonly string[]>> = {
  // The image's page, "Environment Variables": https://hub.docker.com/_/postgres
  postgres: ['POSTGRES_PASSWORD'],
  // docker/config_template.yaml and docker-builds/docker-readme of release 1.29: https://github.com/temporalio/docker-builds
  'temporalio/server': [
    ...['DB', 'DB_PORT', 'POSTGRES_SEEDS', 'POSTGRES_USER', 'POSTGRES_PWD', 'DBNAME', 'VISIBILITY_DBNAME'],
    ...['NUM_HISTORY_SHARDS', 'LOG_LEVEL'],
  ],
  // tools/sql/main.go of release 1.29 (SQL_PASSWORD), and the Temporal CLI: https://docs.temporal.io/cli
  'temporalio/admin-tools': ['SQL_PASSWORD', 'TEMPORAL_ADDRESS', 'TEMPORAL_NAMESPACE'],
  // https://docs.temporal.io/references/web-ui-environment-variables
  'temporalio/ui': ['TEMPORAL_ADDRESS', 'TEMPORAL_DEFAULT_NAMESPACE', 'TEMPORAL_CSRF_COOKIE_INSECURE'],
};

/** Programs that are in an image: for health checks, and for what runs there instead of the image's own command. */
const programs: Readonly<Record<string, readonly string[]>> = {
  // The client programs of PostgreSQL belong to the server's package.
  postgres: ['pg_isready', 'postgres'],
  // server.Dockerfile of docker-builds copies the Temporal CLI to /usr/local/bin.
  'temporalio/server': ['temporal'],
  // admin-tools.Dockerfile: the CLI, temporal-sql-tool, and the schema below /etc/temporal/schema; Alpine's sh.
  'temporalio/admin-tools': ['temporal', 'temporal-sql-tool', '/bin/sh'],
  // Built on Alpine, whose busybox has wget.
  'temporalio/ui': ['wget'],
};

const nameOf = (image: string) => image.replace(/:[^:/]*$/, '');

describe('docker-compose.yml', () => {
  it('names a version of every image, and never the latest', () => {
    for (const [, { image }] of services) expect(image).toMatch(/^[\w./-]+:\d[\w.-]*$/);
  });

  it('builds our image under the version of package.json', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    for (const [, { image }] of ours) expect(image).toBe(`penstock:${version}`);
  });

  it('sets for our services only what Penstock and the Temporal client read', () => {
    const known = [...variablesOfPenstock(), ...variablesOfTemporal()];
    expect(ours.map(([name]) => name)).toEqual(['migrate', 'worker', 'content', 'penstock']);
    for (const [, { environment = {} }] of ours) {
      expect(known).toEqual(expect.arrayContaining(Object.keys(environment)));
    }
  });

  it('sets for the other services only what their images document', () => {
    for (const [, { image, build, environment = {} }] of services) {
      if (build === undefined)
        expect(documented[nameOf(image)]).toEqual(expect.arrayContaining(Object.keys(environment)));
    }
  });

  it('takes from the environment only known variables, and insists on secrets', () => {
    const used = [...text.matchAll(/(?<!\$)\$\{([A-Z_]+)(:\?|:-)?/g)];
    const known = [...variablesOfPenstock(), ...variablesOfTemporal(), ...Object.values(documented).flat()];
    expect(used.length).toBeGreaterThan(0);
    for (const [, name = '', operator] of used) {
      expect(known).toContain(name);
      expect([name, operator]).toEqual([name, /PASSWORD|SECRET/.test(name) ? ':?' : ':-']);
    }
    expect(text.match(/(?<!\$)\$[A-Z_]+/g)).toBeNull();
  });

  it.each(['PENSTOCK_ALLOWED_FILE_PATHS', 'PENSTOCK_ALLOW_WEAK_DIGESTS'])('lets the worker have %s', (name) => {
    expect(compose.services.worker?.environment?.[name]).toBe(`\${${name}:-}`);
  });

  it('publishes ports on the loopback address only, and none that would keep a worker from being scaled', () => {
    for (const [, { ports = [] }] of services) for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
    expect(compose.services.worker?.ports).toBeUndefined();
    expect(text).not.toContain('container_name');
  });

  it('starts services in an order that exists, once-only ones being waited for to their end', () => {
    const lasting = (name: string) => compose.services[name]?.restart === 'unless-stopped';
    for (const [, { depends_on: needs = {} }] of services) {
      for (const [name, { condition }] of Object.entries(needs)) {
        expect(compose.services).toHaveProperty([name]);
        expect([name, condition]).toEqual([name, lasting(name) ? 'service_healthy' : 'service_completed_successfully']);
      }
    }
  });

  it('restarts every service that is not run by hand', () => {
    for (const [name, { restart = '', profiles }] of services) {
      if (profiles === undefined)
        expect([name, restart]).toEqual([name, expect.stringMatching(/^(unless-stopped|on-failure:\d)$/)]);
    }
  });

  it('checks the health of every lasting service by a program that its image has', () => {
    for (const [name, { image, build, restart, healthcheck }] of services) {
      if (restart !== 'unless-stopped') continue;
      if (build !== undefined) {
        expect(jsonForm(dockerfile, 'HEALTHCHECK')[0]).toBe('penstock');
        continue;
      }
      const [kind, program] = healthcheck?.test ?? [];
      expect([name, kind]).toEqual([name, 'CMD']);
      expect(programs[nameOf(image)]).toContain(program);
    }
  });

  it('keeps the database and the storage, which workers share, in volumes that it declares', () => {
    const mounted = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')[0]));
    expect(new Set(mounted)).toEqual(new Set(Object.keys(compose.volumes)));
    // From PostgreSQL 18 on, the image's volume is this folder, and no longer `data` in it.
    expect(compose.services.postgres?.volumes).toEqual(['database:/var/lib/postgresql']);
    const storage = String(compose.services.worker?.environment?.PENSTOCK_STORAGE);
    const folder = compose.services.worker?.volumes?.[0]?.split(':')[1] ?? '';
    expect(storage.startsWith(`file://${folder}/`)).toBe(true);
    const configs = services.flatMap(([, { configs: used = [] }]) => used.map(({ source }) => source));
    expect(configs).toEqual(Object.keys(compose.configs));
  });

  it('runs only commands that the command line has', async () => {
    const commands = [
      ...ours.map(([, { command = [] }]) => command),
      jsonForm(dockerfile, 'CMD'),
      jsonForm(dockerfile, 'HEALTHCHECK').slice(1),
    ];
    for (const command of commands) {
      const words = command.filter((word) => !word.startsWith('-'));
      const options = command.filter((word) => word.startsWith('-'));
      const { stdout } = await run(process.execPath, [join(root, 'dist', 'src', 'cli', 'main.js'), ...words, '--help']);
      expect(stdout).toContain(`Usage: penstock ${words.join(' ')}`.trim());
      for (const option of options) expect(stdout).toContain(option);
    }
  });
});

describe('Dockerfile', () => {
  it('copies what is there, and what .dockerignore lets through', () => {
    const ignored = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n');
    const sources = copiedSources(dockerfile);
    expect(sources).toEqual(expect.arrayContaining(['package.json', 'package-lock.json', 'src', 'workflows']));
    for (const source of sources) {
      expect(existsSync(join(root, source))).toBe(true);
      expect(ignored).toContain(`!${source}`);
    }
  });

  it('builds by scripts of package.json', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
    const used = of(dockerfile, 'RUN').flatMap((rest) =>
      [...rest.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name),
    );
    expect(used).toEqual(['build']);
    for (const name of used) expect(scripts).toHaveProperty([name ?? '']);
  });

  it('installs the program that it runs, on a Node.js that package.json allows, for a user that is not root', () => {
    const { bin, engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      bin: { penstock: string };
      engines: { node: string };
    };
    const [node = ''] = of(dockerfile, 'FROM');
    expect(engines.node).toContain(/^node:(\d+)-bookworm-slim/.exec(node)?.[1] ?? 'none');
    expect(of(dockerfile, 'RUN').join('\n')).toContain(`/opt/penstock/${bin.penstock} /usr/local/bin/penstock`);
    expect(jsonForm(dockerfile, 'ENTRYPOINT')).toEqual(['penstock']);
    expect(of(dockerfile, 'USER')).toEqual(['node']);
  });

  it('sets only variables that are read', () => {
    const names = of(dockerfile, 'ENV').flatMap((rest) => rest.split(' ').map((pair) => pair.split('=')[0]));
    expect([...variablesOfPenstock(), 'NODE_ENV']).toEqual(expect.arrayContaining(names));
  });
});
