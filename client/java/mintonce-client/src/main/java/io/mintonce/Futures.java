package io.mintonce;

import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.function.Supplier;

/** Waiting for what runs elsewhere. */
final class Futures {
  private Futures() {}

  /**
   * Waits for the end, and throws what went wrong as if it had happened here. An interrupt cancels
   * the future; the thread stays interrupted.
   */
  static <T> T await(CompletableFuture<T> future) {
    try {
      return future.get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof MintonceException error) {
        throw error.again();
      }
      throw new IllegalStateException("a call ended in a way that it never should", e.getCause());
    } catch (InterruptedException e) {
      future.cancel(true);
      throw interrupted(e);
    }
  }

  /** What a wait throws that was interrupted. The thread stays interrupted. */
  static CancellationException interrupted(InterruptedException cause) {
    Thread.currentThread().interrupt();
    CancellationException cancelled = new CancellationException("interrupted");
    cancelled.initCause(cause);
    return cancelled;
  }

  /**
   * For futures that callers get: what they hang on to them runs in the executor, and never in
   * ours.
   */
  static <T> CompletableFuture<T> in(Executor executor, Supplier<CompletableFuture<T>> start) {
    CompletableFuture<T> inner;
    try {
      inner = start.get();
    } catch (MintonceException e) {
      return CompletableFuture.failedFuture(e);
    }
    CompletableFuture<T> outer = new CompletableFuture<>();
    inner.whenCompleteAsync(
        (value, error) -> {
          if (error == null) {
            outer.complete(value);
          } else {
            outer.completeExceptionally(
                error instanceof CompletionException && error.getCause() != null
                    ? error.getCause()
                    : error);
          }
        },
        executor);
    outer.whenComplete(
        (value, error) -> {
          if (outer.isCancelled()) {
            inner.cancel(false);
          }
        });
    return outer;
  }
}
