import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import type { OpenedVersion } from '../../activities/open-version';
import type { BatchTally } from '../../activities/stage';
import { SyncState } from '../../workflows/sync-state';
import type { Next } from '../../workflows/sync-state';

const syncId = '7';

function opened(values: Partial<OpenedVersion> = {}): OpenedVersion {
  return {
    syncId,
    plugin: 'file',
    remote: 'remote',
    policy: 'immediate',
    version: 3,
    skipped: false,
    stages: [{ name: 'saveContents', needs: [], requests: false }],
    limits: { slots: 10, requestsPerSecond: 30 },
    batches: 0,
    openBatches: [],
    discoveries: 1,
    openDiscoveries: [[1, 1]],
    ...values,
  };
}

function stateOf(values: Partial<OpenedVersion> = {}): SyncState {
  const state = new SyncState('repository');
  state.open(opened(values));
  return state;
}

function tally(values: Partial<BatchTally>): BatchTally {
  return {
    units: 0,
    newContents: 0,
    unknownArtifacts: 0,
    downloads: 0,
    downloadBytes: 0,
    unsavedArtifacts: 0,
    unattachedArtifacts: 0,
    unsourcedArtifacts: 0,
    futures: 0,
    failures: 0,
    downloaded: 0,
    downloadedBytes: 0,
    discoveries: 0,
    ...values,
  };
}

/** Starts and ends all that may be started; what was started, as `batch 1`. */
function runAll(state: SyncState): string[] {
  const started: string[] = [];
  while (state.canStart) {
    const next = state.start();
    started.push(`${next.kind} ${next.number}`);
    state.ended(next, 'over');
  }
  return started;
}

describe('the state of a sync', () => {
  it('is over when discoveries and batches are, and not before', () => {
    const state = stateOf();
    expect(state.over).toBe(false);
    const discovery = state.start();
    expect(discovery).toEqual({ kind: 'discovery', number: 1 });
    expect(state).toMatchObject({ idle: false, over: false, canStart: false });
    state.batchesDiscovered({ syncId, batches: 1 });
    const batch = state.start();
    state.ended(discovery, 'over');
    expect(state.over).toBe(false);
    state.ended(batch, 'over');
    expect(state).toMatchObject({ idle: true, over: true, finishedInRun: 1 });
  });

  it('keeps what is said before the version is open, and hears only its own sync', () => {
    const state = new SyncState('repository');
    state.batchesDiscovered({ syncId, batches: 2 });
    state.batchesDiscovered({ syncId: '8', batches: 5 });
    state.discoveriesOpened({ syncId, discoveries: 3 });
    expect(state.over).toBe(true);
    state.open(opened());
    state.discoveriesOpened({ syncId: '8', discoveries: 9 });
    expect(runAll(state)).toEqual(['discovery 1', 'discovery 2', 'discovery 3', 'batch 1', 'batch 2']);
  });

  it.each([
    null,
    undefined,
    'text',
    7,
    {},
    { syncId },
    { syncId, batches: '9' },
    { syncId, batches: 1.5, discoveries: NaN },
  ])('passes over %j, which is no message', (message) => {
    const [early, late] = [new SyncState('repository'), stateOf()];
    for (const state of [early, late]) {
      state.batchesDiscovered(message as never);
      state.discoveriesOpened(message as never);
    }
    early.open(opened());
    for (const state of [early, late]) expect(runAll(state)).toEqual(['discovery 1']);
  });

  it('learns of resolved futures from a stage too, where the signal is lost', () => {
    const state = stateOf({ batches: 1, openBatches: [[1, 1]], openDiscoveries: [] });
    const batch = state.start();
    state.stageEnded({ stage: 'resolveContentFutures', batch: 1 }, undefined, tally({ discoveries: 2 }), 5);
    state.ended(batch, 'over');
    expect(state.over).toBe(false);
    expect(runAll(state)).toEqual(['discovery 2']);
  });

  it('starts a window of each at once, and nothing while it drains', () => {
    const state = stateOf({ batches: 100, openBatches: [[1, 100]], discoveries: 100, openDiscoveries: [[1, 100]] });
    const started: Next[] = [];
    while (state.canStart) started.push(state.start());
    expect(started.filter(({ kind }) => kind === 'discovery').map(({ number }) => number)).toEqual([1, 2, 3, 4]);
    expect(started.filter(({ kind }) => kind === 'batch').map(({ number }) => number)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8,
    ]);
    state.draining = true;
    for (const next of started) state.ended(next, 'over');
    expect(state).toMatchObject({ canStart: false, idle: true, over: false });
  });

  it('drains once something fails, which is open again for the sync that resumes', () => {
    const state = stateOf({ batches: 2, openBatches: [[1, 2]], openDiscoveries: [] });
    state.failed(state.start(), new Error('the disk is full'));
    expect(state).toMatchObject({ canStart: false, idle: true, over: false });
    expect(state.failures).toHaveLength(1);
    expect(state.carry().opened.openBatches).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  it('does not wait for batches that were announced and are not there', () => {
    const state = stateOf({ openDiscoveries: [] });
    state.batchesDiscovered({ syncId, batches: 1_000_000_000 });
    state.ended(state.start(), 'absent');
    expect(state).toMatchObject({ canStart: false, over: true });
    state.batchesDiscovered({ syncId, batches: 1 });
    expect(runAll(state)).toEqual(['batch 1']);
  });

  it('shares out what the remote allows, and never more', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.array(fc.record({ kind: fc.constantFrom('discovery', 'stage'), back: fc.boolean() }), { maxLength: 60 }),
        (slots, steps) => {
          const state = stateOf({ limits: { slots, requestsPerSecond: 12 } });
          const held = [];
          for (const { kind, back } of steps) {
            const share = state.takeShare(kind);
            if (share) held.push(share);
            const used = held.reduce((sum, each) => sum + each.slots, 0);
            expect(used).toBeLessThanOrEqual(slots);
            expect(state.hasFreeSlot).toBe(used < slots);
            const rate = held.reduce((sum, each) => sum + (each.requestsPerSecond ?? 0), 0);
            expect(rate).toBeLessThanOrEqual(12.000001);
            const returned = back ? held.pop() : undefined;
            if (returned) state.giveShareBack(returned);
          }
        },
      ),
    );
  });

  it('adds up stages over batches', () => {
    const state = stateOf();
    state.stageEnded(
      { stage: 'saveContents', batch: 1 },
      tally({ downloadedBytes: 10 }),
      tally({ units: 5, downloadedBytes: 25 }),
      3,
    );
    state.stageEnded({ stage: 'saveContents', batch: 2 }, undefined, tally({ units: 2, downloadedBytes: 4 }), 4);
    expect(state.progress().stages).toEqual([
      { stage: 'saveContents', batches: 2, units: 7, bytes: 19, milliseconds: 7 },
    ]);
  });

  it('counts a stage once that a batch comes to again, and its bytes and time each time', () => {
    const state = stateOf({ batches: 1, openBatches: [[1, 1]], openDiscoveries: [] });
    const stage = { stage: 'downloadArtifacts', batch: 1 };
    const counted = () => state.carry().stages;
    const begun = state.start();
    state.stageEnded(stage, undefined, tally({ units: 5, downloadedBytes: 30 }), 3);
    state.ended(begun, 'rested');
    const again = state.start();
    state.stageEnded(stage, undefined, tally({ units: 5, downloadedBytes: 12 }), 4);
    expect(counted()).toEqual([{ ...{ stage: stage.stage, batches: 1, units: 5 }, bytes: 42, milliseconds: 7 }]);
    state.ended(again, 'over');
    expect(state).toMatchObject({ over: true, finishedInRun: 1 });
  });

  it('starts nothing while it is paused, for the first reason, and goes on after it', () => {
    const state = stateOf({ batches: 2, openBatches: [[1, 2]], openDiscoveries: [] });
    const running = state.start();
    expect(state.pause('the mirror moves')).toBe('the mirror moves');
    expect(state.pause('lunch')).toBe('the mirror moves');
    expect(state).toMatchObject({ canStart: false, idle: false });
    state.ended(running, 'rested');
    expect(state).toMatchObject({ canStart: false, idle: true, over: false });
    expect(state.progress()).toMatchObject({ paused: 'the mirror moves', batches: { discovered: 2, finished: 0 } });
    const continued = new SyncState('repository', state.carry());
    expect(continued).toMatchObject({ paused: 'the mirror moves', canStart: false });
    for (const each of [state, continued]) {
      each.resume();
      expect(runAll(each)).toEqual(['batch 1', 'batch 2']);
      expect(each.progress().paused).toBeNull();
    }
    expect(state.pause('lunch')).toBe('lunch');
  });

  it('can be paused before its version is open', () => {
    const state = new SyncState('repository');
    state.pause('early');
    state.open(opened());
    expect(state).toMatchObject({ canStart: false, paused: 'early' });
  });

  it('has the limits of its remote until they are changed, one by one, also in the run that continues it', () => {
    const state = stateOf();
    expect(state.isAsked).toBe(false);
    expect(state.limits).toEqual({ downloadConcurrency: 10, rateLimit: 30 });
    expect(state.changeLimits({ rateLimit: null })).toEqual({ downloadConcurrency: 10, rateLimit: null });
    expect(state.changeLimits({ downloadConcurrency: 3 })).toEqual({ downloadConcurrency: 3, rateLimit: null });
    expect([state.isAsked, state.takeRequest(), state.takeRequest()]).toEqual([true, 'note limits', undefined]);
    const carried = JSON.parse(JSON.stringify(state.carry())) as ReturnType<SyncState['carry']>;
    expect(new SyncState('repository', carried).limits).toEqual({ downloadConcurrency: 3, rateLimit: null });
  });

  it('shares out what is left of limits that were lowered while shares were held', () => {
    const state = stateOf({ limits: { slots: 10, requestsPerSecond: 20 } });
    const [all, none] = [state.takeShare('stage'), state.takeShare('stage')];
    expect([all, none]).toEqual([{ slots: 10, requestsPerSecond: 20, most: 10 }, undefined]);
    state.changeLimits({ downloadConcurrency: 4, rateLimit: 2 });
    expect([state.hasFreeSlot, state.takeShare('discovery')]).toEqual([false, undefined]);
    if (all) state.giveShareBack(all);
    expect(state.takeShare('discovery')).toMatchObject({ slots: 1, requestsPerSecond: 0.5 });
    expect(state.takeShare('stage')).toMatchObject({ slots: 3, requestsPerSecond: 1.5 });
    expect(state.hasFreeSlot).toBe(false);
  });

  it('takes batches again of which something has failed, but none that is open or running', () => {
    const state = stateOf({ batches: 4, openBatches: [[1, 4]], openDiscoveries: [] });
    const [first, second, third] = [state.start(), state.start(), state.start()];
    for (const over of [first, second]) state.ended(over, 'over');
    state.askForRetry();
    expect([state.isAsked, state.takeRequest()]).toEqual([true, 'retry failures']);
    state.reopenBatches([[2, 9]]);
    expect(state.progress().batches).toEqual({ discovered: 4, finished: 1 });
    expect(runAll(state)).toEqual(['batch 2', 'batch 4']);
    state.ended(third, 'over');
    expect(state.over).toBe(true);
    expect(state.progress().batches).toEqual({ discovered: 4, finished: 4 });
  });

  it('is ending once it completes, has ended or has failed, and not while it is paused', () => {
    const state = stateOf();
    for (const phase of ['opening', 'syncing', 'paused'] as const) {
      state.phase = phase;
      expect(state.ending).toBe(false);
    }
    for (const phase of ['completing', 'completed', 'skipped', 'failed', 'canceled'] as const) {
      state.phase = phase;
      expect(state.ending).toBe(true);
    }
    state.phase = 'syncing';
    state.failed(state.start(), new Error('no'));
    expect(state.ending).toBe(true);
  });

  /** What a workflow hears, in some order: the messages of a sync with so many batches and discoveries, and others. */
  const messages = fc.array(
    fc.oneof(
      fc.record({
        kind: fc.constant('batch'),
        id: fc.constantFrom(syncId, '8'),
        number: fc.integer({ min: 0, max: 25 }),
      }),
      fc.record({
        kind: fc.constant('discovery'),
        id: fc.constantFrom(syncId, '8'),
        number: fc.integer({ min: 0, max: 9 }),
      }),
    ),
    { maxLength: 30 },
  );

  interface Heard {
    readonly kind: string;
    readonly id: string;
    readonly number: number;
  }

  function hear(state: SyncState, { kind, id, number }: Heard): void {
    if (kind === 'batch') state.batchesDiscovered({ syncId: id, batches: number });
    else state.discoveriesOpened({ syncId: id, discoveries: number });
  }

  function expected(heard: readonly Heard[]): string[] {
    const highest = (kind: string, least: number) =>
      Math.max(least, ...heard.filter((each) => each.kind === kind && each.id === syncId).map(({ number }) => number));
    const all = (kind: string, count: number) => Array.from({ length: count }, (_, index) => `${kind} ${index + 1}`);
    return [...all('batch', highest('batch', 0)), ...all('discovery', highest('discovery', 1))].sort();
  }

  it('does the same whatever the order and repetition of messages, before and after the version is open', () => {
    fc.assert(
      fc.property(messages, fc.nat(30), fc.infiniteStream(fc.boolean()), (heard, openAt, choices) => {
        const state = new SyncState('repository');
        const done: string[] = [];
        for (const [index, message] of heard.entries()) {
          if (index === openAt) state.open(opened());
          hear(state, message);
          const [start] = choices.take(1);
          if (state.opened && start && state.canStart) {
            const next = state.start();
            done.push(`${next.kind} ${next.number}`);
            state.ended(next, 'over');
          }
        }
        if (!state.opened) state.open(opened());
        done.push(...runAll(state));
        expect(done.sort()).toEqual(expected(heard));
        expect(state.over).toBe(true);
      }),
    );
  });

  it('loses nothing when it is carried to another run, as often as that happens', () => {
    fc.assert(
      fc.property(messages, fc.infiniteStream(fc.nat(3)), (heard, choices) => {
        let state = stateOf();
        const done: string[] = [];
        let finished = 0;
        for (const message of heard) {
          hear(state, message);
          const [choice = 0] = choices.take(1);
          const running: Next[] = [];
          while (choice > 0 && state.canStart && running.length < choice) running.push(state.start());
          for (const next of running) {
            // At rest: a discovery that was cancelled for the run to end.
            const rests = choice === 3 && next.kind === 'discovery';
            state.ended(next, rests ? 'rested' : 'over');
            if (rests) continue;
            done.push(`${next.kind} ${next.number}`);
            finished += 1;
          }
          if (choice < 2) continue;
          const before = state.progress();
          const carried = JSON.parse(JSON.stringify(state.carry())) as ReturnType<SyncState['carry']>;
          state = new SyncState('repository', carried);
          expect(state.progress()).toEqual(before);
          expect(state.finishedInRun).toBe(0);
        }
        const { batches, discoveries } = state.progress();
        expect(batches.finished + discoveries.finished).toBe(finished);
        done.push(...runAll(state));
        expect(done.sort()).toEqual(expected(heard));
      }),
    );
  });
});
