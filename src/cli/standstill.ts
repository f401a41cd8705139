import { drainReason } from '../draining/drain-reason';
import { formatDate } from '../format-date';
import type { Standstill } from '../syncs/sync-views';
import { quoted } from '../syncs/errors';
import type { Output } from './output';

type Wait = Standstill['waits'][number];

/** What a sync waits for, as `mirror.example: the server answered 429, until 12:03:10`. */
export function describeWait({ host, reason, until }: Wait): string {
  return `${host}: ${reason}, until ${formatDate(until)?.slice(11) ?? ''}`;
}

/** The command that lets a sync go on which is paused for this reason. */
export function resumeCommand(repository: string, reason: string): string {
  return reason === drainReason ? 'penstock undrain' : `penstock sync resume ${quoted(repository)}`;
}

/** Says when a sync that is followed comes to stand still, and when it goes on: each once. */
export class StandstillNotes {
  private paused: string | undefined;
  /** Until when each host was said to be waited for. */
  private readonly said = new Map<string, number>();

  constructor(
    private readonly output: Output,
    private readonly repository: string,
  ) {}

  update({ paused, waits }: Standstill): void {
    if (paused?.reason !== this.paused) {
      this.paused = paused?.reason;
      if (paused) {
        const how = resumeCommand(this.repository, paused.reason);
        this.say(
          { event: 'paused', ...paused },
          `Paused: ${paused.reason.replace(/\.?$/, '.')} It goes on with: ${how}`,
        );
      } else this.say({ event: 'resumed' }, 'Resumed.');
    }
    for (const wait of waits) {
      if ((this.said.get(wait.host) ?? 0) > Date.now()) continue;
      this.said.set(wait.host, Date.parse(wait.until));
      this.say({ event: 'waiting', ...wait }, `Waiting for ${describeWait(wait)}`);
    }
  }

  private say(event: Record<string, unknown>, line: string): void {
    if (this.output.json) void this.output.item(event, () => '');
    else this.output.note(line);
  }
}
