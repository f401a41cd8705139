import { CancellationScope } from '@temporalio/workflow';

/**
 * All that asks something of upstream: discoveries, and stages that make requests. They can be brought to rest, which keeps
 * what they have done; while they are, none begins.
 */
export class UpstreamRequests {
  private discoveries = new CancellationScope();
  private stages = new CancellationScope();

  discover<T>(work: () => Promise<T>): Promise<T> {
    return this.discoveries.run(work);
  }

  runStage<T>(work: () => Promise<T>): Promise<T> {
    return this.stages.run(work);
  }

  restDiscoveries(): void {
    this.discoveries.cancel();
  }

  rest(): void {
    this.discoveries.cancel();
    this.stages.cancel();
  }

  /** Lets them begin again after a {@link rest}. */
  begin(): void {
    this.discoveries = new CancellationScope();
    this.stages = new CancellationScope();
  }
}
