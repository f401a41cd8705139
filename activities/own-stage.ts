import type { PoolClient } from 'pg';

import type { DeclaredContent } from '../src/plugins/content-type';
import type { BatchStage, Dropped, OwnStageContext, Refused, Unit, UnitStage } from '../src/plugins/own-stage';
import type { Plugin } from '../src/plugins/plugin';
import { fetchSmallFile } from '../src/downloads/fetch-small-file';
import { PenstockError } from '../src/errors';
import { batchSql } from '../src/staging/batch-sql';
import { activitySignal } from './activity-signal';
import type { ActivityDependencies } from './dependencies';
import { describeHeartbeats } from './interceptors';
import { oneRequestAtATime, withRemote } from './remote-session';
import { StageAttempt } from './stage';
import type { BatchTally, StageInput } from './stage';

/** Bytes of a file that a stage fetches, where it sets no other limit. */
const smallFile = 1024 ** 2;

type Stage = (input: StageInput) => Promise<BatchTally>;

/** The stages of all the plugins' own, as activities named `<plugin>.<stage>`. */
export function ownStageActivities(dependencies: ActivityDependencies): Record<string, Stage> {
  return Object.fromEntries(
    dependencies.plugins.all.flatMap((plugin) =>
      Object.keys(plugin.stages).map((name) => [`${plugin.name}.${name}`, runOwnStage(dependencies, plugin, name)]),
    ),
  );
}

/**
 * Runs a stage of a plugin's own over the batch. Units are handed to it one by one, as many at once as the share of the
 * limits allows; what it answers is written back in one transaction, so that a crash in between leaves nothing behind.
 */
function runOwnStage(dependencies: ActivityDependencies, plugin: Plugin, name: string): Stage {
  return async (input) => {
    const stage = plugin.stages[name];
    if (!stage) throw new Error(`Plugin "${plugin.name}" has no stage "${name}".`);
    const attempt = await StageAttempt.begin(dependencies.database.pool, input);
    const share = input.share ?? oneRequestAtATime;
    const { rows } = await attempt.pool.query<{ remoteId: string }>(
      'select remote_id as "remoteId" from syncs where id = $1',
      [input.syncId],
    );
    const signal = activitySignal();
    return withRemote(
      dependencies,
      { syncId: input.syncId, remoteId: rows[0]?.remoteId ?? '' },
      share,
      ({ summary, client, pool, connection }) => {
        const context: OwnStageContext = {
          remote: summary,
          signal,
          fetch: (url, maxBytes = smallFile) =>
            fetchSmallFile(url, maxBytes, { client, pool, signal, maxRetries: connection.maxRetries }),
        };
        return stage.kind === 'unit'
          ? runUnits(attempt, stage, context, share.slots)
          : runBatch(attempt, stage, context);
      },
    );
  };
}

function runBatch(attempt: StageAttempt, stage: BatchStage, context: OwnStageContext): Promise<BatchTally> {
  return attempt.transaction(async (client) => {
    await stage.run(batchSql(client, attempt.batchId), context);
    return attempt.tally(client);
  });
}

interface UnitRow extends Unit {
  readonly unitId: string;
}

async function runUnits(
  attempt: StageAttempt,
  stage: UnitStage,
  context: OwnStageContext,
  atOnce: number,
): Promise<BatchTally> {
  const { rows } = await attempt.pool.query<UnitRow>(stageUnits, [attempt.batchId, stage.units === 'new']);
  const answers = new Map<string, Unit | Dropped | Refused>();
  const waiting = rows.values();
  describeHeartbeats(() => ({ units: answers.size, of: rows.length }));
  const lanes = Array.from({ length: Math.min(atOnce, rows.length) }, async () => {
    for (const { unitId, content, artifacts } of waiting) {
      context.signal.throwIfAborted();
      answers.set(unitId, await runUnit(stage, { content, artifacts }, context));
    }
  });
  // No lane may go on after the activity has ended.
  for (const lane of await Promise.allSettled(lanes)) if (lane.status === 'rejected') throw lane.reason;
  return attempt.transaction(async (client) => {
    await writeBack(client, answers);
    return attempt.tally(client);
  });
}

/** What is known to be wrong with a unit refuses that unit; the others go on. */
async function runUnit(stage: UnitStage, unit: Unit, context: OwnStageContext): Promise<Unit | Dropped | Refused> {
  try {
    return await stage.run(unit, context);
  } catch (error) {
    if (context.signal.aborted || !(error instanceof PenstockError)) throw error;
    return { refused: error.message, transient: error.transient };
  }
}

const stageUnits = `
  select unit.id as "unitId", json_build_object('type', unit.type, 'fields', unit.fields) as content,
         coalesce((select json_agg(json_build_object('relativePath', staged.relative_path, 'urls', staged.urls, 'sha256', staged.sha256)
                                   order by staged.relative_path)
                     from staged_artifacts staged where staged.unit_id = unit.id), '[]') as artifacts
    from staged_units unit
   where unit.batch_id = $1 and unit.outcome is null and (not unit.known or not $2)
   order by unit.id`;

async function writeBack(client: PoolClient, answers: ReadonlyMap<string, Unit | Dropped | Refused>): Promise<void> {
  const rows = [...answers].map(([unitId, answer]) => ({ unitId, ...columnsOf(answer) }));
  await client.query(
    `update staged_units unit
        set fields = coalesce(answer.fields, unit.fields), outcome = answer.outcome, error = answer.error
       from unnest($1::bigint[], $2::jsonb[], $3::text[], $4::jsonb[]) as answer (unit_id, fields, outcome, error)
      where unit.id = answer.unit_id`,
    [
      rows.map(({ unitId }) => unitId),
      rows.map(({ fields }) => fields && JSON.stringify(fields)),
      rows.map(({ outcome }) => outcome),
      rows.map(({ error }) => error && JSON.stringify(error)),
    ],
  );
}

interface AnswerColumns {
  readonly fields: DeclaredContent['fields'] | null;
  readonly outcome: 'dropped' | 'refused' | null;
  readonly error: { readonly type: string; readonly message: string; readonly transient: boolean } | null;
}

function columnsOf(answer: Unit | Dropped | Refused): AnswerColumns {
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
