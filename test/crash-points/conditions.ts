interface Waiter {
  holds(): boolean;
  resolve(): void;
}

/** What `condition` is in a workflow: waits until something holds, looked at whenever something has happened. */
export class Conditions {
  private readonly waiting = new Set<Waiter>();

  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve) => {
      this.waiting.add({ holds, resolve });
    });
  }

  /** Something has happened. */
  check(): void {
    for (const waiter of this.waiting) {
      if (!waiter.holds()) continue;
      this.waiting.delete(waiter);
      waiter.resolve();
    }
  }
}
