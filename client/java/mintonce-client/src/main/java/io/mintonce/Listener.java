package io.mintonce;

import java.util.concurrent.Executor;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Code of a caller that wants each new token. It runs in the caller's executor, one call at a time;
 * what came meanwhile is skipped, except for the newest.
 */
final class Listener implements TokenSource.Subscription {
  private static final System.Logger LOG = System.getLogger("io.mintonce");

  private final SourceState state;
  private final Executor executor;
  private final Consumer<? super Token> listener;
  private boolean scheduled;
  private @Nullable Token told;

  Listener(SourceState state, Executor executor, Consumer<? super Token> listener) {
    this.state = state;
    this.executor = executor;
    this.listener = listener;
  }

  void updated() {
    synchronized (this) {
      if (scheduled) {
        return;
      }
      scheduled = true;
    }
    try {
      executor.execute(this::call);
    } catch (RuntimeException e) {
      // Such as an executor that was shut down. The source's own work goes on.
      synchronized (this) {
        scheduled = false;
      }
      LOG.log(System.Logger.Level.WARNING, "the executor of a listener failed", e);
    }
  }

  @Override
  public void close() {
    state.remove(this);
  }

  private void call() {
    while (true) {
      @Nullable Token token;
      synchronized (this) {
        token = state.held();
        if (token == null || token.equals(told) || !state.tells(this)) {
          scheduled = false;
          return;
        }
        told = token;
      }
      try {
        listener.accept(token);
      } catch (RuntimeException e) {
        LOG.log(System.Logger.Level.WARNING, "a listener failed", e);
      }
    }
  }
}
