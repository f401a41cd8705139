import type { RecordedHistory } from './replay-histories';

type Events = NonNullable<RecordedHistory['history']['events']>;
type HistoryEvent = Events[number];

/** Where a history and the workflows at hand part. */
export interface Difference {
  /** The number of the first event that does not fit, where that can be told. */
  readonly event: number | null;
  readonly reason: string;
}

/**
 * Finds the first event that does not fit. What the SDK says of it names the kind of event but not its number, so the history
 * is replayed in parts, each one half as far from the place as the one before.
 *
 * @param fits - replays a history and tells whether it is deterministic.
 */
export async function findDifference(
  { history }: RecordedHistory,
  error: Error,
  fits: (history: RecordedHistory['history']) => Promise<boolean>,
): Promise<Difference> {
  const reason = reasonOf(error);
  const events = history.events ?? [];
  // What a workflow task has asked for is compared when the next one starts: a part ends where one starts.
  const ends = events.flatMap((event, index) => (event.workflowTaskStartedEventAttributes ? [index] : []));
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const part = events.slice(0, (ends[middle] ?? events.length) + 1);
    if (await fits({ ...history, events: part })) low = middle + 1;
    else high = middle;
  }
  const from = low === 0 ? 0 : (ends[low - 1] ?? 0) + 1;
  const suspects = events.slice(from, (ends[low] ?? events.length) + 1).filter(isOfCommand);
  const named = /event '([^']+)'/.exec(reason)?.[1];
  const event = suspects.find((each) => named !== undefined && namesOf(each).includes(named)) ?? suspects[0];
  return { event: event ? Number(event.eventId) : numberIn(reason), reason };
}

/** The sentence of the SDK's core, out of the structure that it prints it in. */
function reasonOf({ message }: Error): string {
  const said = /message: "((?:[^"\\]|\\.)*)"/.exec(message)?.[1];
  return (said ?? message).replaceAll('\\"', '"');
}

function numberIn(reason: string): number | null {
  const number = /\bid: (\d+)/.exec(reason)?.[1];
  return number === undefined ? null : Number(number);
}

/** Events that stand for a command of the workflow. */
function isOfCommand(event: HistoryEvent): boolean {
  return Object.entries(event).some(
    ([key, value]) =>
      value !== null &&
      value !== undefined &&
      /^(activityTaskScheduled|activityTaskCancelRequested|timerStarted|timerCanceled|markerRecorded|startChildWorkflow|signalExternalWorkflowExecutionInitiated|requestCancelExternal|upsertWorkflowSearchAttributes|workflowPropertiesModified|workflowExecution(Completed|Failed|Canceled|ContinuedAsNew))/.test(
        key,
      ),
  );
}

function namesOf({
  activityTaskScheduledEventAttributes: activity,
  timerStartedEventAttributes: timer,
}: HistoryEvent): unknown[] {
  return [activity?.activityType?.name, activity?.activityId, timer?.timerId];
}
