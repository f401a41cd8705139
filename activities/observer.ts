import type { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type {
  ActivityExecuteInput,
  ActivityInboundCallsInterceptor,
  ActivityOutboundCallsInterceptor,
  GetLogAttributesInput,
  Next,
} from '@temporalio/worker';

import type { Tracing } from '../src/observability/tracing';
import type { StageOutcome, WorkerMetrics } from '../src/observability/worker-metrics';
import type { SyncRepositories } from './sync-repositories';

/** What an activity works on, as far as its input says; its log lines and its span carry it. */
interface Subject {
  readonly repository?: string;
  readonly sync?: string;
  readonly batch?: number;
  readonly discovery?: number;
}

/** Who is told what activities do. */
export interface ActivityWatchers {
  readonly repositories: SyncRepositories;
  readonly metrics: WorkerMetrics;
  readonly tracing?: Tracing | undefined;
}

/** Lets one attempt of an activity be seen: in the metrics, in the fields of its log lines, and as a span. */
export class ActivityObserver implements ActivityInboundCallsInterceptor, ActivityOutboundCallsInterceptor {
  private subject: Subject = {};

  constructor(
    private readonly context: Context,
    private readonly watchers: ActivityWatchers,
  ) {}

  async execute(input: ActivityExecuteInput, next: Next<ActivityInboundCallsInterceptor, 'execute'>): Promise<unknown> {
    const { metrics, repositories } = this.watchers;
    const ended = metrics.beginStage(this.context.info.activityType);
    this.subject = subjectOf(input.args[0], await repositories.find(input.args[0]));
    const endSpan = this.beginSpan();
    try {
      const result = await next(input);
      endSpan?.();
      ended('completed');
      return result;
    } catch (error) {
      endSpan?.(error);
      ended(this.outcomeOf(error));
      throw error;
    }
  }

  /** Under the names that the lines of workflows have, and without the token, which lets whoever has it end the activity. */
  getLogAttributes(
    { activityType: stage, workflowRunId: runId, ...attributes }: GetLogAttributesInput,
    next: Next<ActivityOutboundCallsInterceptor, 'getLogAttributes'>,
  ): Record<string, unknown> {
    const shown = Object.entries(attributes).filter(([name]) => name !== 'taskToken' && name !== 'isLocal');
    return next({ ...Object.fromEntries(shown), runId, stage, ...this.subject });
  }

  private beginSpan(): ((error?: unknown) => void) | undefined {
    const { activityType: stage, activityId, attempt, workflowExecution } = this.context.info;
    if (!workflowExecution) return undefined;
    const { workflowId, runId } = workflowExecution;
    return this.watchers.tracing?.begin({
      stage,
      runId,
      attributes: {
        temporalWorkflowID: workflowId,
        temporalRunID: runId,
        temporalActivityID: activityId,
        attempt,
        stage,
        ...this.subject,
      },
    });
  }

  private outcomeOf(error: unknown): StageOutcome {
    if (error instanceof ApplicationFailure && error.type === 'StaleAttempt') return 'stale';
    if (this.context.cancellationSignal.aborted) return 'canceled';
    return error instanceof ApplicationFailure && error.nonRetryable ? 'failed' : 'retried';
  }
}

function subjectOf(input: unknown, repository: string | undefined): Subject {
  const { syncId, batch, discovery } = (input ?? {}) as {
    readonly syncId?: string;
    readonly batch?: number;
    readonly discovery?: number;
  };
  return {
    ...(repository === undefined ? {} : { repository }),
    ...(syncId === undefined ? {} : { sync: syncId }),
    ...(batch === undefined ? {} : { batch }),
    ...(discovery === undefined ? {} : { discovery }),
  };
}
