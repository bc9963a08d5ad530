package io.mintonce;

import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

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
      Thread.currentThread().interrupt();
      CancellationException cancelled = new CancellationException("interrupted");
      cancelled.initCause(e);
      throw cancelled;
    }
  }
}
