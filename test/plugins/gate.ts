/** A place where a plugin's step waits until the test lets it go on. */
export class Gate {
  private release: () => void = () => undefined;
  private opened: Promise<void> = Promise.resolve();

  close(): void {
    this.opened = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  open(): void {
    this.release();
  }

  async pass(): Promise<void> {
    await this.opened;
  }
}
