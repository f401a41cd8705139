import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';

import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';

import { asError } from '../errors';
import { policies } from '../models/repository-models';
import type { Policy } from '../models/repository-models';
import type { RemoteChanges, RemoteFields } from '../repositories/remote-fields';
import { wholeNumber } from './command';
import { WrongUsage } from './exit-status';

/** The options for the fields of a remote, as commander reads them. */
export interface RemoteOptions {
  readonly url?: string;
  readonly policy?: Policy;
  readonly downloadConcurrency?: number;
  readonly maxRetries?: number;
  readonly rateLimit?: number | null;
  readonly totalTimeout?: number | null;
  readonly connectTimeout?: number | null;
  readonly sockConnectTimeout?: number | null;
  readonly sockReadTimeout?: number | null;
  readonly tlsValidation?: boolean;
  readonly caCert?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
  readonly username?: string;
  readonly passwordFile?: string;
  readonly passwordEnv?: string;
  readonly proxyUrl?: string;
  readonly proxyUsername?: string;
  readonly proxyPasswordFile?: string;
  readonly proxyPasswordEnv?: string;
  readonly header?: readonly string[];
  readonly unset?: readonly Unsettable[];
}

/** What can be taken away from a remote, by the names of its options. */
const unsettable = {
  'rate-limit': 'rateLimit',
  'total-timeout': 'totalTimeout',
  'connect-timeout': 'connectTimeout',
  'sock-connect-timeout': 'sockConnectTimeout',
  'sock-read-timeout': 'sockReadTimeout',
  'ca-cert': 'caCert',
  'client-cert': 'clientCert',
  'client-key': 'clientKey',
  username: 'username',
  password: 'password',
  'proxy-url': 'proxyUrl',
  'proxy-username': 'proxyUsername',
  'proxy-password': 'proxyPassword',
  headers: 'headers',
} as const satisfies Record<string, keyof RemoteFields>;
type Unsettable = keyof typeof unsettable;

/** Adds the options for the fields of a remote; `url` aside, which some commands require. */
export function withRemoteOptions(command: Command): Command {
  const add = (flags: string, description: string, parse?: (value: string) => unknown) => {
    const option = new Option(flags, description).helpGroup('Remote:');
    command.addOption(parse ? option.argParser(parse) : option);
  };
  command.addOption(
    new Option('--policy <policy>', 'when files are downloaded: in the sync, at their first request, or never stored')
      .choices([...policies])
      .helpGroup('Remote:'),
  );
  add('--download-concurrency <n>', 'requests at once, for the whole sync (10)', wholeNumber(1, 1000));
  add('--max-retries <n>', 'attempts after the first, for each file (3)', wholeNumber(0, 100));
  add('--rate-limit <n>', 'requests a second, for the whole sync', wholeNumber(1, 2 ** 31 - 1));
  add('--total-timeout <seconds>', 'for a whole download (none)', readSeconds);
  add('--connect-timeout <seconds>', 'until a connection is had, TLS included (60)', readSeconds);
  add('--sock-connect-timeout <seconds>', 'until a socket is connected (30)', readSeconds);
  add('--sock-read-timeout <seconds>', 'between two reads (60)', readSeconds);
  command.addOption(
    new Option('--tls-validation', 'check the certificate of the server (the standard)').helpGroup('Remote:'),
  );
  command.addOption(new Option('--no-tls-validation', 'do not check it').helpGroup('Remote:'));
  add('--ca-cert <file>', "certificates to trust instead of the system's, in PEM form");
  add('--client-cert <file>', 'client certificate, in PEM form');
  add('--client-key <file>', 'its private key, in PEM form');
  add('--username <name>', 'for basic authentication');
  add('--password-file <file>', 'a file with the password; - is stdin');
  add('--password-env <variable>', 'an environment variable with the password');
  add('--proxy-url <url>', 'http://host:port of a proxy');
  add('--proxy-username <name>', 'for the proxy');
  add('--proxy-password-file <file>', 'a file with the password for the proxy; - is stdin');
  add('--proxy-password-env <variable>', 'an environment variable with it');
  command.addOption(
    new Option('--header <header>', "'Name: value' for every request, or @file with a line for each; may be repeated")
      .argParser((value: string, earlier: readonly string[] | undefined) => [...(earlier ?? []), value])
      .helpGroup('Remote:'),
  );
  command.addOption(
    new Option('--unset <field>', `take a field away; may be repeated: ${Object.keys(unsettable).join(', ')}`)
      .argParser(readUnset)
      .helpGroup('Remote:'),
  );
  return command;
}

/**
 * The fields that the options stand for; reads files, stdin and environment variables.
 *
 * @throws {@link WrongUsage} where one cannot be read, or two options contradict each other.
 */
export async function readRemoteOptions(options: RemoteOptions): Promise<RemoteChanges> {
  const { passwordFile, proxyPasswordFile } = options;
  if (passwordFile === '-' && proxyPasswordFile === '-') {
    throw new WrongUsage('--password-file and --proxy-password-file cannot both be read from stdin.');
  }
  const given: RemoteChanges = {
    url: options.url,
    policy: options.policy,
    downloadConcurrency: options.downloadConcurrency,
    maxRetries: options.maxRetries,
    rateLimit: options.rateLimit,
    totalTimeout: options.totalTimeout,
    connectTimeout: options.connectTimeout,
    sockConnectTimeout: options.sockConnectTimeout,
    sockReadTimeout: options.sockReadTimeout,
    tlsValidation: options.tlsValidation,
    caCert: await readFileOf('--ca-cert', options.caCert),
    clientCert: await readFileOf('--client-cert', options.clientCert),
    clientKey: await readFileOf('--client-key', options.clientKey),
    username: options.username,
    password: await readSecret('--password', passwordFile, options.passwordEnv),
    proxyUrl: options.proxyUrl,
    proxyUsername: options.proxyUsername,
    proxyPassword: await readSecret('--proxy-password', proxyPasswordFile, options.proxyPasswordEnv),
    headers: options.header && (await readHeaders(options.header)),
  };
  for (const name of options.unset ?? []) {
    if (given[unsettable[name]] !== undefined) throw new WrongUsage(`--unset ${name} contradicts --${name}.`);
  }
  const unset = Object.fromEntries((options.unset ?? []).map((name) => [unsettable[name], null]));
  return { ...given, ...unset };
}

/** Whether anything is given that concerns the remote. */
export function anyGiven(changes: RemoteChanges): boolean {
  return Object.values(changes).some((value) => value !== undefined);
}

function readUnset(value: string, earlier: readonly string[] | undefined): string[] {
  if (Object.hasOwn(unsettable, value)) return [...(earlier ?? []), value];
  throw new InvalidArgumentError(`Expected one of ${Object.keys(unsettable).join(', ')}.`);
}

function readSeconds(value: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) : 0;
  if (seconds > 0) return seconds;
  throw new InvalidArgumentError('Expected seconds above 0, such as 30 or 0.5.');
}

/** The text of a file that an option names, `-` being stdin. @throws {@link WrongUsage} */
export async function readFileOf(option: string, file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return file === '-' ? await text(process.stdin) : await readFile(file, 'utf8');
  } catch (error) {
    throw new WrongUsage(`${option}: ${file} cannot be read (${asError(error).message}).`, { path: file });
  }
}

async function readSecret(
  option: string,
  file: string | undefined,
  variable: string | undefined,
): Promise<string | undefined> {
  if (file !== undefined && variable !== undefined) {
    throw new WrongUsage(`${option}-file and ${option}-env cannot be used together.`);
  }
  if (variable !== undefined) {
    const value = process.env[variable];
    if (value) return value;
    throw new WrongUsage(`${option}-env: the environment variable ${variable} is not set.`);
  }
  // An editor ends the last line.
  const value = (await readFileOf(`${option}-file`, file))?.replace(/\r?\n$/, '');
  if (value === '') throw new WrongUsage(`${option}-file: ${file ?? ''} is empty.`);
  return value;
}

async function readHeaders(given: readonly string[]): Promise<Record<string, string>[]> {
  const lines: string[] = [];
  for (const each of given) {
    if (!each.startsWith('@')) lines.push(each);
    else lines.push(...((await readFileOf('--header', each.slice(1))) ?? '').split(/\r?\n/).filter(Boolean));
  }
  return lines.map((line) => {
    const colon = line.indexOf(':');
    // The line itself is not shown: it may be a secret.
    if (colon < 1) throw new WrongUsage("--header: expected 'Name: value' or @file.");
    return { [line.slice(0, colon).trim()]: line.slice(colon + 1).trim() };
  });
}
