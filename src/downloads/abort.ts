const hooks = new WeakMap<AbortSignal, Set<() => void>>();

const noSignal = () => undefined;

/**
 * Calls back when a signal aborts, and gives a function that takes the call back.
 *
 * Thousands of downloads share the signal of one activity. It gets one listener in all: each listener of its own would cost a
 * search through all the others when it is removed.
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (!signal) return noSignal;
  let callbacks = hooks.get(signal);
  if (!callbacks) {
    const added = (callbacks = new Set());
    hooks.set(signal, added);
    signal.addEventListener(
      'abort',
      () => {
        for (const call of [...added]) call();
        added.clear();
      },
      { once: true },
    );
  }
  const called = callbacks;
  called.add(callback);
  return () => called.delete(callback);
}

/** Waits so many milliseconds; throws the signal's reason once it aborts. */
export function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const timer = setTimeout(() => {
      takeBack();
      resolve();
    }, milliseconds);
    const takeBack = onAbort(signal, () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    });
  });
}

/** Waits for a promise, but no longer than until the signal aborts: then throws its reason. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const takeBack = onAbort(signal, () => {
      reject(signal.reason as Error);
    });
    promise.then(resolve, reject).finally(takeBack);
  });
}
