import { setTimeout as sleep } from 'node:timers/promises';

import type { Command } from 'commander';

import { findServices } from '../embedded/services';
import { openDatabase } from '../models/database';
import { Distribution } from '../models/distribution-models';
import { Remote, Repository } from '../models/repository-models';
import { readSettings } from '../settings';
import { withExamples } from './command';

/** Commands whose first argument is the name of a repository. */
const ofRepositories: ReadonlySet<string> = new Set([
  'repository',
  'sync',
  'version',
  'content',
  'download',
  'reclaim',
]);

/** Milliseconds for the names; who presses the tab key does not wait longer. */
const patience = 700;

/** `penstock completion`, and what the scripts that it prints ask for. */
export async function addCompletion(program: Command, argv: readonly string[]): Promise<void> {
  // A module of the other kind; only loaded where it is needed, or for the help of the command.
  const { default: tab } = await import('@bomb.sh/tab/commander');
  const completions = tab(program, { completionCommandName: 'completion' });
  const command = program.commands.find((each) => each.name() === 'completion');
  if (command) {
    withExamples(command, [
      ['source <(penstock completion bash)', 'in ~/.bashrc; zsh alike'],
      ['penstock completion fish > ~/.config/fish/completions/penstock.fish', ''],
    ]);
  }
  if (argv[2] !== 'complete') return;
  const names = await readNames();
  for (const [path, each] of completions.commands) {
    const [subject] = path.split(' ');
    const first = [...each.arguments.keys()][0];
    const known = namesFor(subject ?? '', names);
    if (!first || !known) continue;
    if (path.endsWith(' create') || path === 'content show') continue;
    each.argument(first, (complete) => {
      for (const name of known) complete(name, '');
    });
  }
}

/** What the first argument of a command names. */
function namesFor(subject: string, names: Names): readonly string[] | undefined {
  if (subject === 'remote') return names.remotes;
  if (subject === 'distribution') return names.distributions;
  return ofRepositories.has(subject) ? names.repositories : undefined;
}

interface Names {
  readonly repositories: readonly string[];
  readonly remotes: readonly string[];
  readonly distributions: readonly string[];
}

const none: Names = { repositories: [], remotes: [], distributions: [] };

/** The names that there are, where services run; none where they do not, or are slow. */
async function readNames(): Promise<Names> {
  const late = sleep(patience, none, { ref: false });
  return Promise.race([late, queryNames().catch(() => none)]);
}

async function queryNames(): Promise<Names> {
  const settings = readSettings();
  const found = await findServices({ ...settings, temporalGiven: true });
  if (!found) return none;
  const database = openDatabase(found.databaseUrl, { connections: 1 });
  try {
    const [repositories, remotes, distributions] = await Promise.all([
      Repository.findAll({ attributes: ['name'], order: ['name'], limit: 500 }),
      Remote.findAll({ attributes: ['name'], order: ['name'], limit: 500 }),
      Distribution.findAll({ attributes: ['name'], order: ['name'], limit: 500 }),
    ]);
    return {
      repositories: repositories.map(({ name }) => name),
      remotes: remotes.map(({ name }) => name),
      distributions: distributions.map(({ name }) => name),
    };
  } finally {
    await database.close();
  }
}
