import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';

import { openSecretBox } from '../models/remote-secrets';
import { PluginRegistry } from '../plugins';
import type { RemoteStore } from '../repositories/remotes';
import { readSettings } from '../settings';
import type { Settings } from '../settings';
import { Interrupted, errorDocument, messageOf, statusOf } from './exit-status';
import { closeRuntime, isDebugging } from './logging';
import { Output } from './output';
import type { OutputOptions } from './output';
import { Session } from './session';
import type { SessionNeeds } from './session';
import { Interruption, aborted } from './signals';

/** What a command works with while it runs. */
export class CommandContext {
  readonly plugins = new PluginRegistry();
  private readonly sessions: Session[] = [];

  constructor(
    readonly output: Output,
    readonly settings: Settings,
    readonly interruption: Interruption,
  ) {}

  /** Opens a session, which is closed at the end of the command. */
  async open(needs: Partial<Pick<SessionNeeds, 'start' | 'temporal'>> = {}): Promise<Session> {
    const { settings, output, interruption } = this;
    const session = await Session.open({
      settings,
      temporal: needs.temporal ?? false,
      start: needs.start ?? true,
      note: (line) => {
        output.note(line);
      },
      signal: interruption.signal,
    });
    this.sessions.push(session);
    interruption.onSecond(() => {
      for (const { own } of this.sessions) own?.kill();
    });
    return session;
  }

  /** What remotes and repositories are made and read with. */
  storeOf({ database }: Session): RemoteStore {
    return { database, plugins: this.plugins, secrets: () => openSecretBox(this.settings) };
  }

  async close(): Promise<void> {
    for (const session of this.sessions.splice(0).reverse()) await session.close();
  }
}

/** How a command runs. */
interface RunOptions {
  /** The command ends in its own way when it is interrupted. */
  readonly handlesSignals?: boolean;
  /** Its results are lines of JSON, each with its `event`. */
  readonly events?: boolean;
}

/** Runs a command to its end: prints its error, if there is one, and sets the exit status. */
export async function run(
  options: OutputOptions,
  work: (context: CommandContext) => Promise<unknown>,
  { handlesSignals = false, events = false }: RunOptions = {},
): Promise<void> {
  const output = new Output(options);
  const interruption = new Interruption();
  let context: CommandContext | undefined;
  let settings: Settings | undefined;
  try {
    settings = readSettings();
    context = new CommandContext(output, settings, interruption);
    const working = work(context);
    await (handlesSignals ? working : Promise.race([working, interrupted(interruption)]));
  } catch (thrown) {
    const error =
      interruption.signal.aborted && thrown === interruption.signal.reason ? new Interrupted('Interrupted.') : thrown;
    process.exitCode = statusOf(error);
    report(output, error, { events, debug: settings !== undefined && isDebugging(settings) });
  } finally {
    await context?.close().catch((error: unknown) => {
      output.warn(messageOf(error));
    });
    await closeRuntime();
    interruption.close();
  }
}

/** Prints an error: with `--json` as the document on stdout, or as the last event. */
function report(output: Output, error: unknown, { events, debug }: { events: boolean; debug: boolean }): void {
  if (output.json) {
    const more = (error as { readonly events?: Record<string, unknown> }).events;
    const document = { error: errorDocument(error), ...more };
    process.stdout.write(`${JSON.stringify(events ? { event: 'error', ...document } : document)}\n`);
  } else {
    output.warn(messageOf(error));
  }
  if (debug && error instanceof Error) output.warn(error.stack ?? '');
}

async function interrupted({ signal }: Interruption): Promise<never> {
  await aborted(signal);
  throw new Interrupted('Interrupted.');
}

/** Adds `--json` and `--quiet`, which every command has that prints. */
export function withOutput(command: Command): Command {
  return command
    .addOption(new Option('--json', 'print JSON, in a form that stays').helpGroup('Output:'))
    .addOption(new Option('--quiet', 'print only what was asked for; lists print names only').helpGroup('Output:'));
}

/** Adds examples below the help. */
export function withExamples(command: Command, examples: readonly (readonly [line: string, what: string])[]): Command {
  const width = Math.max(...examples.map(([line]) => line.length));
  return command.addHelpText(
    'after',
    [
      '',
      'Examples:',
      ...examples.map(([line, what]) => (what === '' ? `  $ ${line}` : `  $ ${line.padEnd(width)}  # ${what}`)),
    ].join('\n'),
  );
}

/** Reads a whole number from the command line. */
export function wholeNumber(from: number, to = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
    if (value >= from && value <= to) return value;
    const range = to === Number.MAX_SAFE_INTEGER ? `of ${from} or more` : `from ${from} to ${to}`;
    throw new InvalidArgumentError(`Expected a whole number ${range}.`);
  };
}

/** Reads the number of a version, as PostgreSQL's `integer` holds it. */
export const versionNumber = wholeNumber(0, 2 ** 31 - 1);
