/** What ends a program politely: Ctrl-C, a service manager, a terminal that is closed. */
const endings = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Listens for signals until it is closed; the first one aborts `signal`, a second one ends the process at once. */
export class Interruption {
  private readonly controller = new AbortController();
  readonly signal: AbortSignal = this.controller.signal;
  /** Done at once before a second signal ends the process. */
  private atOnce: (() => void) | undefined;

  constructor() {
    for (const name of endings) process.on(name, this.onSignal);
  }

  /** What has to be done when there is no time: kill what would be left running. */
  onSecond(work: () => void): void {
    this.atOnce = work;
  }

  close(): void {
    for (const name of endings) process.off(name, this.onSignal);
  }

  private readonly onSignal = (name: NodeJS.Signals) => {
    if (!this.signal.aborted) {
      this.controller.abort(new Error(name));
      return;
    }
    this.atOnce?.();
    process.exit(name === 'SIGTERM' ? 143 : 130);
  };
}

/** Resolves when the signal is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener(
      'abort',
      () => {
        resolve();
      },
      { once: true },
    );
  });
}
