import { parseArgs } from 'node:util';

import { asError } from '../../../src/errors';
import { quietRuntime } from '../../harness/quiet-runtime';
import { requireProgram } from './installation';
import { Random } from './random';
import { Omitted, Round, newTally } from './round';
import type { Tally } from './round';
import { scenarios } from './scenarios';
import type { Scenario } from './scenarios/scenario';
import { Services } from './services';

/** Milliseconds after which a round has hung: longer than any machine takes. */
const longestRound = 20 * 60_000;

const usage = `npm run test:faults -- [--rounds N] [--seed S] [--only NAME] [--outage SECONDS]

  --rounds   so many rounds, a scenario each; as many as there are scenarios
  --seed     of the first round, which is a new one each time; the second has the next number, and so on
  --only     only scenarios whose names hold this
  --outage   seconds for which PostgreSQL or Temporal is away (12)

Scenarios: ${scenarios.map(({ name }) => name).join(', ')}`;

interface Options {
  readonly rounds: number;
  readonly seed: number;
  readonly chosen: readonly Scenario[];
  readonly outage: number;
}

function readOptions(): Options {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: { rounds: text, seed: text, only: text, outage: text, help: { type: 'boolean' } },
  });
  if (values.help) {
    print(usage);
    process.exit(0);
  }
  const chosen = scenarios.filter(({ name }) => name.includes(values.only ?? ''));
  const number = (value: string | undefined, standard: number) => {
    if (value !== undefined && !/^\d{1,9}$/.test(value)) throw new Error(`Expected a whole number, found "${value}".`);
    return Number(value ?? standard);
  };
  if (chosen.length === 0) throw new Error(`No scenario is called "${values.only ?? ''}".`);
  return {
    rounds: number(values.rounds, chosen.length),
    seed: number(values.seed, Math.floor(Math.random() * 900_000_000)),
    chosen,
    outage: number(values.outage, 12),
  };
}

interface Outcome {
  readonly omitted?: string;
  readonly error?: Error;
  /** What workers have said last, where it failed. */
  readonly words?: readonly string[];
}

/** Every scenario comes once before one comes a second time, in an order of the seed's. */
function* inTurn({ rounds, seed, chosen }: Options): Generator<{ index: number; seed: number; scenario: Scenario }> {
  let turn: Scenario[] = [];
  for (let index = 0; index < rounds; index += 1) {
    if (turn.length === 0) turn = new Random(seed + index).shuffled(chosen);
    const scenario = turn.shift();
    if (scenario) yield { index, seed: seed + index, scenario };
  }
}

async function runRound(scenario: Scenario, round: Round): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined;
  const hung = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`The round was not over after ${longestRound / 60_000} minutes.`));
    }, longestRound);
  });
  const play = async () => {
    for (let worker = scenario.workers ?? 1; worker > 0; worker -= 1) await round.installation.startWorker();
    await scenario.run(round);
  };
  let outcome: Outcome = {};
  try {
    await Promise.race([play(), hung]);
  } catch (thrown) {
    const error = asError(thrown);
    const words = round.installation.lastWords();
    outcome = error instanceof Omitted ? { omitted: error.message } : { error, words };
  } finally {
    clearTimeout(timer);
  }
  try {
    await round.end();
  } catch (error) {
    outcome = { error: asError(error), ...outcome };
  }
  return outcome;
}

function add(sum: Tally, { kills, ...more }: Tally): void {
  for (const victim of ['worker', 'temporal', 'postgres'] as const) sum.kills[victim] += kills[victim];
  for (const count of ['strikes', 'syncs', 'faults', 'downloads', 'repeated'] as const) sum[count] += more[count];
}

function describe({ kills, strikes, syncs, faults, downloads, repeated }: Tally): string {
  const killed = `worker ${kills.worker}, Temporal ${kills.temporal}, PostgreSQL ${kills.postgres}`;
  return [
    `${syncs} syncs, ${downloads} downloads, ${repeated} repeated`,
    ...(faults === 0 ? [] : [`${faults} faulty replies`]),
    ...(strikes === 0 ? [] : [`kills at ${strikes} moments: ${killed}`]),
  ].join('; ');
}

function print(...lines: readonly string[]): void {
  for (const line of lines) process.stdout.write(`${line}\n`);
}

async function main(): Promise<void> {
  const options = readOptions();
  requireProgram();
  print(`Seed ${options.seed}, ${options.rounds} rounds.`);
  quietRuntime();
  const services = await Services.start((line) => {
    print(line);
  });
  const running: { round?: Round } = {};
  process.once('exit', () => {
    running.round?.endNow();
    services.killNow();
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

  const sum = newTally();
  const count = { passed: 0, failed: 0, omitted: 0 };
  for (const { index, seed, scenario } of inTurn(options)) {
    const begun = Date.now();
    const { outage } = options;
    const round = (running.round = await Round.begin(services, { random: new Random(seed), outage, number: index }));
    const { omitted, error, words = [] } = await runRound(scenario, round);
    const result = error ? 'failed' : omitted ? 'omitted' : 'passed';
    count[result] += 1;
    add(sum, round.tally);
    const seconds = ((Date.now() - begun) / 1000).toFixed(1);
    print(
      `${index + 1}/${options.rounds} ${result} ${scenario.name} (seed ${seed}) ${seconds} s: ${describe(round.tally)}`,
    );
    if (omitted) print(`  Not tried: ${omitted}`);
    if (error) {
      print(`  ${(error.stack ?? error.message).replaceAll('\n', '\n  ')}`, ...words);
      print(`  Again: npm run test:faults -- --only ${scenario.name} --rounds 1 --seed ${seed} --outage ${outage}`);
    }
  }
  await services.stop();
  print('', `${describe(sum)}.`, `Rounds: ${count.passed} passed, ${count.failed} failed, ${count.omitted} omitted`);
  process.exit(count.failed > 0 ? 1 : 0);
}

main().catch((error: unknown) => {
  process.stderr.write(`${asError(error).message}\n\n${usage}\n`);
  process.exit(2);
});
