import type { PoolClient } from 'pg';

import { digestNames } from '../src/downloads/digests';
import { fetchSmallFile } from '../src/downloads/fetch-small-file';
import { PenstockError } from '../src/errors';
import { inLanes } from '../src/lanes';
import { toJsonb } from '../src/models/jsonb';
import type { DeclaredContent } from '../src/plugins/content-type';
import { checkArtifacts, checkContent, nameOf } from '../src/plugins/declared-unit';
import type { CheckedArtifact } from '../src/plugins/declared-unit';
import type { BatchStage, Unit, UnitAnswer, UnitArtifact, UnitStage, UnitStageContext } from '../src/plugins/own-stage';
import type { Plugin } from '../src/plugins/plugin';
import { batchSql } from '../src/staging/batch-sql';
import { runningFor } from '../src/staging/refused-by-database';
import { replaceArtifacts } from '../src/staging/stage-batch';
import { artifactKey } from '../src/storage/storage';
import type { Storage } from '../src/storage/storage';
import { StorageError } from '../src/storage/storage-error';
import { activitySignal } from './activity-signal';
import type { ActivityDependencies } from './dependencies';
import { describeHeartbeats } from './interceptors';
import { findRemote, oneRequestAtATime, summaryOf, withRemote } from './remote-session';
import { StageAttempt } from './stage';
import type { BatchTally, StageInput } from './stage';

/** Bytes of a file that a stage fetches, where it sets no other limit. */
const smallFile = 1024 ** 2;

/** A stage of a plugin's own gave an answer that cannot be saved; the message names the stage and the content. */
export class UnusableAnswer extends PenstockError {}

type Stage = (input: StageInput) => Promise<BatchTally>;

/** The stages of all the plugins' own, as activities named `<plugin>.<stage>`. */
export function ownStageActivities(dependencies: ActivityDependencies): Record<string, Stage> {
  return Object.fromEntries(
    dependencies.plugins.all.flatMap((plugin) =>
      Object.entries(plugin.stages).map(([name, stage]) => [
        `${plugin.name}.${name}`,
        stage.kind === 'unit'
          ? unitActivity(dependencies, plugin, name, stage)
          : batchActivity(dependencies, `${plugin.name}.${name}`, stage),
      ]),
    ),
  );
}

/**
 * Runs a stage over the units of a batch, one by one, as many at once as the share of the limits allows; what it answers is written
 * back in one transaction, so that a crash in between leaves nothing behind.
 */
function unitActivity(dependencies: ActivityDependencies, plugin: Plugin, name: string, stage: UnitStage): Stage {
  return async (input) => {
    const attempt = await StageAttempt.begin(dependencies.database.pool, input);
    const share = input.share ?? oneRequestAtATime;
    const signal = activitySignal();
    return withRemote(dependencies, input.syncId, share, ({ summary, client, pool, connection, observer }) => {
      const context: UnitStageContext = {
        remote: summary,
        signal,
        fetch: (url, maxBytes = smallFile) =>
          fetchSmallFile(url, maxBytes, { client, pool, signal, maxRetries: connection.maxRetries, observer }),
      };
      return runUnits(attempt, { plugin, name, stage, context, atOnce: share.slots, storage: dependencies.storage });
    });
  };
}

/** Runs a stage over a batch as a whole, in one transaction. */
function batchActivity({ database }: ActivityDependencies, name: string, stage: BatchStage): Stage {
  return async (input) => {
    const attempt = await StageAttempt.begin(database.pool, input);
    const remote = summaryOf(await findRemote(database, input.syncId));
    return runningFor(`Stage "${name}"`, () =>
      attempt.transaction(async (client) => {
        await stage.run(batchSql(client, attempt.batchId), { remote, signal: activitySignal() });
        return attempt.tally(client);
      }),
    );
  };
}

interface UnitRow {
  readonly unitId: string;
  readonly content: DeclaredContent;
  readonly artifacts: readonly Omit<UnitArtifact, 'stream'>[];
}

interface UnitRun {
  readonly plugin: Plugin;
  readonly name: string;
  readonly stage: UnitStage;
  readonly context: UnitStageContext;
  /** Units at once. */
  readonly atOnce: number;
  readonly storage: Storage;
}

async function runUnits(attempt: StageAttempt, run: UnitRun): Promise<BatchTally> {
  const { stage, context, atOnce, storage } = run;
  const { rows } = await attempt.pool.query<UnitRow>(stageUnits, [attempt.batchId, stage.units === 'new']);
  const answers = new Map<string, CheckedAnswer>();
  describeHeartbeats(() => ({ units: answers.size, of: rows.length }));
  await inLanes(rows, Math.min(atOnce, rows.length), async (row) => {
    context.signal.throwIfAborted();
    const unit = asUnit(row, storage);
    answers.set(row.unitId, checkAnswer(run, unit, await runUnit(stage, unit, context)));
  });
  return attempt.transaction(async (client) => {
    await writeBack(client, attempt.batchId, answers);
    return attempt.tally(client);
  });
}

function asUnit({ content, artifacts }: UnitRow, storage: Storage): Unit {
  return {
    content,
    artifacts: artifacts.map((artifact) => ({
      ...artifact,
      stream: () => {
        if (artifact.storedSha256 === null)
          throw new Error(`"${artifact.relativePath}" of ${content.type} is not stored, so it cannot be read.`);
        return storage.read(artifactKey(artifact.storedSha256));
      },
    })),
  };
}

/** What is known to be wrong with a unit refuses that unit; the others go on. */
async function runUnit(stage: UnitStage, unit: Unit, context: UnitStageContext): Promise<UnitAnswer> {
  try {
    return await stage.run(unit, context);
  } catch (error) {
    if (context.signal.aborted || !(error instanceof PenstockError) || error instanceof StorageError) throw error;
    return { refused: error.message, transient: error.transient };
  }
}

interface CheckedAnswer extends AnswerColumns {
  /** Absent: the artifacts stay as they are. */
  readonly artifacts?: readonly CheckedArtifact[];
}

/** A stage's answer reaches the database only through here, as what a first stage declares does. */
function checkAnswer({ plugin, name, context }: UnitRun, unit: Unit, answer: UnitAnswer): CheckedAnswer {
  const columns = columnsOf(answer);
  if (!('content' in answer)) return columns;
  const fault = (what: string) =>
    new UnusableAnswer(`Stage "${plugin.name}.${name}", ${nameOf(unit.content, plugin)}: ${what}.`, {
      remote: context.remote.name,
    });
  if (answer.content.type !== unit.content.type) throw fault(`it became a ${answer.content.type}`);
  checkContent(answer.content, plugin, fault);
  if (answer.artifacts === unit.artifacts) return columns;
  const deferred = context.remote.policy !== 'immediate';
  return { ...columns, artifacts: checkArtifacts(answer.artifacts, deferred, fault) };
}

const stageUnits = `
  select unit.id as "unitId", json_build_object('type', unit.type, 'fields', unit.fields) as content,
         coalesce((select json_agg(json_strip_nulls(json_build_object(
                             'relativePath', staged.relative_path, 'url', staged.urls, 'size', staged.size,
                             ${digestNames.map((name) => `'${name}', staged.${name}`).join(', ')}, 'deferred', staged.deferred))::jsonb
                           || jsonb_build_object('storedSha256', coalesce(staged.stored_sha256, artifact.sha256))
                                   order by staged.relative_path)
                     from staged_artifacts staged left join artifacts artifact on artifact.id = staged.artifact_id
                    where staged.unit_id = unit.id), '[]') as artifacts
    from staged_units unit
   where unit.batch_id = $1 and unit.outcome is null and (not unit.known or not $2)
   order by unit.id`;

async function writeBack(
  client: PoolClient,
  batchId: string,
  answers: ReadonlyMap<string, CheckedAnswer>,
): Promise<void> {
  const rows = [...answers.values()];
  await client.query(
    `update staged_units unit
        set fields = coalesce(answer.fields, unit.fields), outcome = answer.outcome, error = answer.error
       from unnest($1::bigint[], $2::jsonb[], $3::text[], $4::jsonb[]) as answer (unit_id, fields, outcome, error)
      where unit.id = answer.unit_id`,
    [
      [...answers.keys()],
      rows.map(({ fields }) => fields && JSON.stringify(fields)),
      rows.map(({ outcome }) => outcome),
      rows.map(({ error }) => error && toJsonb(error)),
    ],
  );
  const replaced = [...answers].flatMap(([unitId, { artifacts }]) => (artifacts ? [[unitId, artifacts] as const] : []));
  await replaceArtifacts(client, batchId, new Map(replaced));
}

interface AnswerColumns {
  readonly fields: DeclaredContent['fields'] | null;
  readonly outcome: 'dropped' | 'refused' | null;
  readonly error: { readonly type: string; readonly message: string; readonly transient: boolean } | null;
}

function columnsOf(answer: UnitAnswer): AnswerColumns {
  if ('dropped' in answer) {
    return { fields: null, outcome: 'dropped', error: { type: 'Dropped', message: answer.dropped, transient: false } };
  }
  if ('refused' in answer) {
    return {
      fields: null,
      outcome: 'refused',
      error: { type: 'Refused', message: answer.refused, transient: answer.transient ?? false },
    };
  }
  return { fields: answer.content.fields, outcome: null, error: null };
}
