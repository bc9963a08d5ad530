package io.mintonce;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * What a source holds: its token, who waits for another one, and who listens. Makes no calls;
 * {@link SourceLoop} does. Thread-safe.
 */
final class SourceState {
  /**
   * Shared with the loop: what the follower decides and what is under way change together. Code of
   * callers never runs with it held.
   */
  final ReentrantLock lock = new ReentrantLock();

  /**
   * For reads without the lock. Null after the close, and while the token is known to be rejected.
   * Changes with the lock held.
   */
  private volatile @Nullable Token held;

  private final CopyOnWriteArrayList<Listener> listeners = new CopyOnWriteArrayList<>();
  private final Runnable kick;

  // All below: with the lock held.
  private final Follower follower;
  private final List<Waiter> waiters = new ArrayList<>();
  private boolean closed;

  /** {@code kick}: makes the loop look again; called with the lock held. */
  SourceState(Token first, Runnable kick) {
    this.follower =
        new Follower(first, Clock.now(), () -> ThreadLocalRandom.current().nextDouble());
    this.kick = kick;
    this.held = first;
  }

  // ---- reads

  /**
   * The live token, without the lock; null: {@link #live} knows more.
   *
   * <p>Each read looks at the clock, though that is nearly all of what it costs. An alarm before
   * the end would be cheaper, but after a stop of this process callers may run before it does.
   */
  @Nullable Token peek() {
    Token token = held;
    return token != null && token.isLive() ? token : null;
  }

  /** The newest token, live or not; null after the close, and once it is known to be rejected. */
  @Nullable Token held() {
    return held;
  }

  /** The live token, or null. Throws ClosedException. */
  @Nullable Token live() {
    lock.lock();
    try {
      mustBeOpen();
      return follower.live(Clock.now());
    } finally {
      lock.unlock();
    }
  }

  /** The live token. Throws TokenExpiredException and ClosedException. */
  Token mustBeLive() {
    lock.lock();
    try {
      mustBeOpen();
      Token live = follower.live(Clock.now());
      if (live != null) {
        return live;
      }
      throw follower.expired();
    } finally {
      lock.unlock();
    }
  }

  // ---- callers that wait

  /** A live token, at once or after the next fetch. */
  CompletableFuture<Token> awaitLive(Duration timeout) {
    ConnectionBuilder.positive(timeout);
    lock.lock();
    try {
      mustBeOpen();
      Token live = follower.live(Clock.now());
      if (live != null) {
        return CompletableFuture.completedFuture(live);
      }
      follower.hurry(Clock.now());
      long seen = follower.setbacks();
      kick.run();
      return await(
          follower::live,
          now -> follower.setbacks() == seen ? null : follower.expired(),
          follower::expired,
          timeout);
    } finally {
      lock.unlock();
    }
  }

  /** Reports that the token of a generation was refused, and waits for a newer one. */
  CompletableFuture<Token> awaitSuccessor(long generation, Duration timeout) {
    ConnectionBuilder.positive(timeout);
    lock.lock();
    try {
      mustBeOpen();
      Token newer = follower.successor(generation, Clock.now());
      if (newer != null) {
        return CompletableFuture.completedFuture(newer);
      }
      follower.wantReport(generation, Clock.now());
      long seen = follower.reportSetbacks();
      kick.run();
      return await(
          now -> follower.successor(generation, now),
          now -> follower.reportSetbacks() == seen ? null : again(follower.reportError()),
          Errors::noSuccessor,
          timeout);
    } finally {
      lock.unlock();
    }
  }

  /** A token that is newer than the generation. */
  CompletableFuture<Token> awaitUpdate(long generation, Duration timeout) {
    ConnectionBuilder.positive(timeout);
    lock.lock();
    try {
      mustBeOpen();
      return await(
          now -> follower.successor(generation, now), now -> null, Errors::noSuccessor, timeout);
    } finally {
      lock.unlock();
    }
  }

  private static MintonceException again(@Nullable MintonceException error) {
    return error == null ? Errors.noSuccessor() : error.again();
  }

  /** With the lock held. A result at once, an error at once, or else one of them later. */
  private CompletableFuture<Token> await(
      Function<Double, @Nullable Token> done,
      Function<Double, @Nullable MintonceException> failed,
      Supplier<MintonceException> late,
      Duration timeout) {
    Waiter waiter = new Waiter(done, failed);
    Runnable outcome = waiter.outcome(Clock.now());
    if (outcome != null) {
      outcome.run(); // nobody depends on it yet
      return waiter.result();
    }
    waiters.add(waiter);
    Future<?> alarm =
        Background.after(
            Clock.seconds(timeout),
            () -> {
              MintonceException error;
              lock.lock();
              try {
                error = late.get();
              } finally {
                lock.unlock();
              }
              waiter.result().completeExceptionally(error);
            });
    waiter
        .result()
        .whenComplete(
            (token, error) -> {
              alarm.cancel(false);
              lock.lock();
              try {
                waiters.remove(waiter);
              } finally {
                lock.unlock();
              }
            });
    return waiter.result();
  }

  // ---- callers that listen

  void add(Listener listener) {
    lock.lock();
    try {
      mustBeOpen();
      listeners.add(listener);
    } finally {
      lock.unlock();
    }
  }

  void remove(Listener listener) {
    listeners.remove(listener);
  }

  boolean tells(Listener listener) {
    return listeners.contains(listener);
  }

  // ---- changes

  /** With the lock held. */
  Step next() {
    return follower.next(Clock.now());
  }

  /** With the lock held. */
  boolean isClosed() {
    return closed;
  }

  /** Changes the follower at a time of {@link Clock}, and tells everybody. */
  void update(Change change) {
    List<Runnable> outcomes = new ArrayList<>();
    Token before;
    Token after;
    lock.lock();
    try {
      if (closed) {
        return;
      }
      double now = Clock.now();
      before = follower.token();
      change.apply(follower, now);
      after = follower.token();
      if (!Objects.equals(after, before)) {
        held = after;
      }
      for (Waiter waiter : waiters) {
        Runnable outcome = waiter.outcome(now);
        if (outcome != null) {
          outcomes.add(outcome);
        }
      }
    } finally {
      lock.unlock();
    }
    outcomes.forEach(Runnable::run);
    if (after != null && !after.equals(before)) {
      listeners.forEach(Listener::updated);
    }
  }

  /** Callers that wait get ClosedException. False: it was closed before. */
  boolean close() {
    List<Waiter> ended;
    lock.lock();
    try {
      if (closed) {
        return false;
      }
      closed = true;
      held = null;
      ended = List.copyOf(waiters);
      waiters.clear();
      listeners.clear();
    } finally {
      lock.unlock();
    }
    ended.forEach(waiter -> waiter.result().completeExceptionally(Errors.closed("source")));
    return true;
  }

  /** What happened, to the follower. */
  interface Change {
    void apply(Follower follower, double now);
  }

  private void mustBeOpen() {
    if (closed) {
      throw Errors.closed("source");
    }
  }
}
