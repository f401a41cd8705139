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
  if (subject === 'acs') return names.alternates;
  return ofRepositories.has(subject) ? names.repositories : undefined;
}

interface Names {
  readonly repositories: readonly string[];
  readonly remotes: readonly string[];
  readonly distributions: readonly string[];
  readonly alternates: readonly string[];
}

const none: Names = { repositories: [], remotes: [], distributions: [], alternates: [] };

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
    const named = { attributes: ['name'], order: ['name'], limit: 500 };
    const [repositories, remotes, distributions, alternates] = await Promise.all([
      Repository.findAll(named),
      Remote.findAll(named),
      Distribution.findAll(named),
      database.pool.query<{ name: string }>('select name from alternate_content_sources order by name limit 500'),
    ]);
    const namesOf = (rows: readonly { readonly name: string }[]) => rows.map(({ name }) => name);
    return {
      repositories: namesOf(repositories),
      remotes: namesOf(remotes),
      distributions: namesOf(distributions),
      alternates: namesOf(alternates.rows),
    };
  } finally {
    await database.close();
  }
}
