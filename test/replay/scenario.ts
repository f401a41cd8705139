import type { WorkflowExecutionStatusName, WorkflowHandle } from '@temporalio/client';

import type { WorkerOptions } from '../../src/worker';
import { FileRepository } from '../harness/file-repository';
import { Penstock } from '../harness/penstock';
import type { PenstockOptions } from '../harness/penstock';
import { WorkerProcess } from '../harness/worker-process';

/** A workflow whose history is recorded, by the state that it shows. */
export interface Scenario {
  readonly name: string;
  /** How the workflow stands once the scenario has run; `RUNNING`: its history is open. */
  readonly status: WorkflowExecutionStatusName;
  /** Runs it; the handle is of the run that is recorded, and without a run id of the last one. */
  readonly run: (setting: Setting) => Promise<WorkflowHandle>;
}

/** Units of a batch, so that a few files make several. */
const batchUnits = 100;

/** What a scenario starts. */
export class Setting {
  private readonly stops: (() => Promise<void>)[] = [];

  /** @param workerOptions - for the workers that run in this process */
  constructor(private readonly workerOptions: Pick<WorkerOptions, 'maxCachedWorkflows'> = {}) {}

  async penstock(options: PenstockOptions = {}): Promise<Penstock> {
    const penstock = await Penstock.start({ ...options, ...this.workerOptions, batchUnits });
    this.stops.push(() => penstock.stop());
    return penstock;
  }

  async upstream(files: Readonly<Record<string, string>> = {}): Promise<FileRepository> {
    const upstream = await FileRepository.start(files);
    this.stops.push(() => upstream.stop());
    return upstream;
  }

  /** A worker that can be killed. */
  async workerProcess(penstock: Penstock): Promise<WorkerProcess> {
    const worker = await WorkerProcess.start(penstock);
    this.stops.push(() => worker.kill());
    return worker;
  }

  /** Stops everything, the last that was started first. */
  async stop(): Promise<void> {
    for (const stop of this.stops.reverse()) await stop();
  }
}

/** Runs a scenario, and looks at its workflow while everything is still there. */
export async function perform(
  { name, status, run }: Scenario,
  setting: Setting,
  look: (workflow: WorkflowHandle) => Promise<void>,
): Promise<void> {
  try {
    const workflow = await run(setting);
    const found = (await workflow.describe()).status.name;
    if (found !== status) throw new Error(`The workflow of "${name}" is ${found}; it was to be ${status}.`);
    await look(workflow);
    if (status === 'RUNNING') await workflow.terminate('It has been looked at.');
  } finally {
    await setting.stop();
  }
}
