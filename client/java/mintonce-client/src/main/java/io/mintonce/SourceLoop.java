package io.mintonce;

import io.mintonce.TokenClient.WatchCall;
import io.mintonce.TokenClient.WatchListener;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * A source's work in the background: does what its follower says, one step at a time. Thread-safe.
 */
final class SourceLoop {
  private static final System.Logger LOG = System.getLogger("io.mintonce");

  private final TokenKey key;
  private final TokenClient client;
  private final Duration timeout;
  private final SourceState state;
  private final ReentrantLock lock;

  // All below: with the lock held.

  /** A step is under way. */
  private boolean busy;

  /** Somebody wants the step under way to end, if it is a watch or a pause. */
  private boolean kicked;

  private @Nullable Future<?> pause;
  private @Nullable WatchCall watch;
  private @Nullable CompletableFuture<?> call;

  /** {@code timeout}: of each call. */
  SourceLoop(TokenKey key, TokenClient client, Duration timeout, Token first) {
    this.key = key;
    this.client = client;
    this.timeout = timeout;
    this.state = new SourceState(first, this::kick);
    this.lock = state.lock;
  }

  SourceState state() {
    return state;
  }

  void start() {
    Background.run(this::step);
  }

  /** After the state was closed: ends the step under way. */
  void stop() {
    CompletableFuture<?> running;
    lock.lock();
    try {
      interrupt();
      running = call;
    } finally {
      lock.unlock();
    }
    if (running != null) {
      running.cancel(true);
    }
  }

  /**
   * Does what the follower says. Only from Background: a caller's gRPC context must not end our
   * calls.
   */
  private void step() {
    Step step;
    lock.lock();
    try {
      if (state.isClosed() || busy) {
        return;
      }
      busy = true;
      kicked = false;
      step = state.next();
      if (step instanceof Step.Pause paused) {
        pause = Background.after(paused.seconds(), this::finish);
        return;
      }
    } finally {
      lock.unlock();
    }
    try {
      if (step instanceof Step.Report report) {
        report(report.generation());
      } else if (step instanceof Step.Fetch) {
        fetch();
      } else if (step instanceof Step.Watch watch) {
        watch(watch.limit());
      }
    } catch (RuntimeException e) {
      // Such as a shared client that was closed.
      failed(step, e);
    }
  }

  private void report(long generation) {
    CompletableFuture<Boolean> answer = client.withTimeout(timeout).rejectAsync(key, generation);
    underWay(answer);
    answer.whenComplete(
        (wasCurrent, error) -> {
          if (error == null) {
            state.update(Follower::reported);
          } else {
            state.update((follower, now) -> follower.reportFailed(known(error), now));
          }
          finish();
        });
  }

  private void fetch() {
    CompletableFuture<Token> answer = client.withTimeout(timeout).getAsync(key);
    underWay(answer);
    answer.whenComplete(
        (token, error) -> {
          if (error == null) {
            state.update((follower, now) -> follower.fetched(token, now));
          } else {
            state.update((follower, now) -> follower.fetchFailed(known(error), now));
          }
          finish();
        });
  }

  private void watch(double limit) {
    double startedAt = Clock.now();
    WatchCall started =
        client.watch(
            key,
            Clock.duration(limit),
            new WatchListener() {
              @Override
              public void onToken(Token token) {
                state.update((follower, now) -> follower.offer(token, now));
              }

              @Override
              public void onEnd(@Nullable Throwable error) {
                MintonceException known = error == null ? null : known(error);
                state.update((follower, now) -> follower.watchEnded(known, startedAt, limit, now));
                finish();
              }
            });
    boolean unwanted;
    lock.lock();
    try {
      watch = started;
      unwanted = kicked || state.isClosed();
    } finally {
      lock.unlock();
    }
    if (unwanted) {
      started.cancel();
    }
  }

  private void failed(Step step, RuntimeException error) {
    MintonceException known = known(error);
    if (step instanceof Step.Report) {
      state.update((follower, now) -> follower.reportFailed(known, now));
    } else if (step instanceof Step.Fetch) {
      state.update((follower, now) -> follower.fetchFailed(known, now));
    } else if (step instanceof Step.Watch watch) {
      state.update((follower, now) -> follower.watchEnded(known, now, watch.limit(), now));
    }
    finish();
  }

  /** The step is done: on to the next one. */
  private void finish() {
    lock.lock();
    try {
      busy = false;
      pause = null;
      watch = null;
      call = null;
      if (state.isClosed()) {
        return;
      }
    } finally {
      lock.unlock();
    }
    start();
  }

  private void underWay(CompletableFuture<?> answer) {
    boolean unwanted;
    lock.lock();
    try {
      call = answer;
      unwanted = state.isClosed();
    } finally {
      lock.unlock();
    }
    if (unwanted) {
      answer.cancel(true);
    }
  }

  /** With the lock held: look again, whatever the step under way waits for. */
  private void kick() {
    kicked = true;
    interrupt();
  }

  /** With the lock held. */
  private void interrupt() {
    Future<?> paused = pause;
    if (paused != null && paused.cancel(false)) {
      pause = null;
      Background.run(this::finish);
    }
    WatchCall watched = watch;
    if (watched != null) {
      Background.run(watched::cancel);
    }
  }

  private static MintonceException known(Throwable error) {
    if (error instanceof MintonceException known) {
      return known;
    }
    if (error instanceof CancellationException) {
      return Errors.closed("source");
    }
    LOG.log(System.Logger.Level.ERROR, "a call failed in a way that it never should", error);
    return new MintonceException(
        MintonceException.Detail.of(
            "the client failed: " + error.getClass().getSimpleName(),
            "INTERNAL",
            "This is a fault of the client: please report it.",
            io.grpc.Status.Code.INTERNAL),
        error);
  }
}
