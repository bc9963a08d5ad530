/** Waiting with an end, and with an AbortSignal. */

/** The longest that `setTimeout` can wait. */
const LONGEST_MS = 2 ** 31 - 1;

/** Those who wait for a condition, looked at whenever something has changed. */
export class Waiters {
  readonly #looks = new Set<() => void>();

  /** Something has changed: the condition of each is evaluated at once. */
  notify(): void {
    for (const look of this.#looks) look();
  }

  /** Resolves when `done` holds or the time is over. Rejects with the signal's reason. */
  until(done: () => boolean, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (done()) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const look = (): void => {
      if (done()) resolve(undefined);
    };
    const onAbort = (): void => {
      reject(signal?.reason);
    };
    // Not unref'd: a program that waits has something to do.
    const timer = setTimeout(resolve, Math.min(timeoutMs, LONGEST_MS), undefined);
    this.#looks.add(look);
    signal?.addEventListener("abort", onAbort, { once: true });
    return promise.finally(() => {
      clearTimeout(timer);
      this.#looks.delete(look);
      signal?.removeEventListener("abort", onAbort);
    });
  }
}

/** Resolves after so long, or when the signal aborts. Does not keep the process from ending. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const wake = (): void => {
    resolve(undefined);
  };
  const timer = setTimeout(wake, Math.min(ms, LONGEST_MS)).unref();
  signal.addEventListener("abort", wake, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", wake);
  });
}
