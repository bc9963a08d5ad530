package io.mintonce;

import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Somebody who waits for a token. Both functions are asked at a time of {@link Clock}, after each
 * change.
 */
record Waiter(
    Function<Double, @Nullable Token> done,
    Function<Double, @Nullable MintonceException> failed,
    CompletableFuture<Token> result) {
  Waiter(
      Function<Double, @Nullable Token> done,
      Function<Double, @Nullable MintonceException> failed) {
    this(done, failed, new CompletableFuture<>());
  }

  /** How the wait ends, to be run without the lock; null: it goes on. */
  @Nullable Runnable outcome(double now) {
    Token token = done.apply(now);
    if (token != null) {
      return () -> result.complete(token);
    }
    MintonceException error = failed.apply(now);
    return error == null ? null : () -> result.completeExceptionally(error);
  }
}
