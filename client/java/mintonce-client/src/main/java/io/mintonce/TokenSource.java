package io.mintonce;

import io.mintonce.TokenClient.WatchCall;
import io.mintonce.TokenClient.WatchListener;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executor;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * One key's token, kept up to date in the background. Thread-safe.
 *
 * <pre>{@code
 * try (TokenSource source =
 *     TokenSource.builder("billing").audience("https://api.example.com/").open()) {
 *   request.header("Authorization", source.get().header());
 * }
 * }</pre>
 *
 * <p>{@link Builder#open()} returns when the first token is here. From then on {@link #get()},
 * {@link #token()} and {@link #peek()} read memory: no call, no lock. The server may restart or be
 * away: the token is served until its true end.
 *
 * <p>All sources of a process share two daemon threads. After {@link #close()} every method throws
 * {@link ClosedException}.
 */
public final class TokenSource implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("io.mintonce");

  private final TokenKey key;
  private final TokenClient client;
  private final boolean ownsClient;
  private final Duration timeout;
  private final Executor executor;

  /**
   * What reads without the lock. Null after the close, and while the token is known to be rejected.
   */
  private volatile @Nullable Snapshot snapshot;

  private final CopyOnWriteArrayList<Listener> listeners = new CopyOnWriteArrayList<>();

  private final ReentrantLock lock = new ReentrantLock();
  // All below: with the lock held.
  private final Follower follower;
  private final List<Waiter> waiters = new ArrayList<>();
  private boolean closed;

  /** A step is under way. */
  private boolean busy;

  /** Somebody wants the step under way to end, if it is a watch or a pause. */
  private boolean kicked;

  private @Nullable Future<?> pause;
  private @Nullable WatchCall watch;
  private @Nullable CompletableFuture<?> call;

  private TokenSource(Builder builder, TokenClient client, boolean ownsClient, Token first) {
    this.key = builder.key();
    this.client = client;
    this.ownsClient = ownsClient;
    this.timeout = builder.timeout();
    this.executor = builder.executor;
    this.follower = new Follower(first, Clock.now(), TokenSource::jitter);
    this.snapshot = new Snapshot(first);
  }

  /**
   * Starts with what the environment says.
   *
   * @param client the name under which the OAuth client is registered with the server
   * @return a builder
   */
  public static Builder builder(String client) {
    return new Builder(client);
  }

  /**
   * The live token: a memory read. Waits for a successor if it is over, up to the source's timeout.
   *
   * @return the token
   * @throws TokenExpiredException if no successor comes; at once while a failed call is not due
   *     again
   * @throws CancellationException if the thread is interrupted
   */
  public Token get() {
    return get(timeout);
  }

  /**
   * As {@link #get()}.
   *
   * @param timeout how long to wait at most
   * @return the token
   */
  public Token get(Duration timeout) {
    Snapshot held = snapshot;
    return held != null && held.isLive() ? held.token : Futures.await(awaitLive(timeout));
  }

  /**
   * As {@link #get()}, without waiting.
   *
   * @return the token to come; it is here already unless it is over
   */
  public CompletableFuture<Token> getAsync() {
    Snapshot held = snapshot;
    return held != null && held.isLive()
        ? CompletableFuture.completedFuture(held.token)
        : forCallers(() -> awaitLive(timeout));
  }

  /**
   * The live token, from memory. Never waits.
   *
   * @return the token
   * @throws TokenExpiredException if it is over and no successor is here
   */
  public Token token() {
    Snapshot held = snapshot;
    if (held != null && held.isLive()) {
      return held.token;
    }
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

  /**
   * The live token, from memory. Never waits.
   *
   * @return the token; empty if it is over and no successor is here
   */
  public Optional<Token> peek() {
    Snapshot held = snapshot;
    if (held != null && held.isLive()) {
      return Optional.of(held.token);
    }
    lock.lock();
    try {
      mustBeOpen();
      return Optional.ofNullable(follower.live(Clock.now()));
    } finally {
      lock.unlock();
    }
  }

  /**
   * Reports that an API refused the token (401), and waits for the successor.
   *
   * <p>The server gets one report for each generation, however many callers report it; later
   * callers get the successor at once.
   *
   * @param token the token that was refused
   * @return the successor
   * @throws MintonceException if the report was refused, and the token stays in use; or no
   *     successor came in time
   * @throws CancellationException if the thread is interrupted
   */
  public Token reject(Token token) {
    return reject(token, timeout);
  }

  /**
   * As {@link #reject(Token)}.
   *
   * @param token the token that was refused
   * @param timeout how long to wait at most
   * @return the successor
   */
  public Token reject(Token token, Duration timeout) {
    return Futures.await(awaitSuccessor(token.generation(), timeout));
  }

  /**
   * As {@link #reject(Token)}, without waiting.
   *
   * @param token the token that was refused
   * @return the successor to come. Cancelling it does not take the report back
   */
  public CompletableFuture<Token> rejectAsync(Token token) {
    return forCallers(() -> awaitSuccessor(token.generation(), timeout));
  }

  /**
   * Waits for a newer token.
   *
   * @param than the token to be followed
   * @param timeout how long to wait at most
   * @return a token of a higher generation
   * @throws UnavailableException if none comes in time
   */
  public Token awaitUpdate(Token than, Duration timeout) {
    ConnectionBuilder.positive(timeout);
    CompletableFuture<Token> result;
    lock.lock();
    try {
      mustBeOpen();
      long generation = than.generation();
      result =
          await(
              now -> follower.successor(generation, now),
              now -> null,
              Errors::noSuccessor,
              timeout);
    } finally {
      lock.unlock();
    }
    return Futures.await(result);
  }

  /**
   * Calls a listener with each new token, in the source's executor, one call at a time. A slow
   * listener misses tokens that have been replaced meanwhile, and never the newest.
   *
   * @param listener what to call
   * @return closes the subscription
   */
  public Subscription onUpdate(Consumer<? super Token> listener) {
    lock.lock();
    try {
      mustBeOpen();
      Listener added = new Listener(listener);
      listeners.add(added);
      return added;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Ends the work in the background, and the client if it is the source's own. Callers that wait
   * get {@link ClosedException}. Closing twice does nothing.
   */
  @Override
  public void close() {
    List<Runnable> after = new ArrayList<>();
    CompletableFuture<?> running;
    lock.lock();
    try {
      if (closed) {
        return;
      }
      closed = true;
      hold(null);
      interrupt();
      running = call;
      for (Waiter waiter : waiters) {
        after.add(() -> waiter.result.completeExceptionally(Errors.closed("source")));
      }
      waiters.clear();
      listeners.clear();
    } finally {
      lock.unlock();
    }
    after.forEach(Runnable::run);
    if (running != null) {
      running.cancel(true);
    }
    if (ownsClient) {
      client.close();
    }
  }

  @Override
  public String toString() {
    Snapshot held = snapshot;
    return "TokenSource[" + key + ", " + (held == null ? "no token" : held.token) + "]";
  }

  // ---- callers that wait

  private CompletableFuture<Token> awaitLive(Duration timeout) {
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
      kick();
      return await(
          follower::live,
          now -> follower.setbacks() == seen ? null : follower.expired(),
          follower::expired,
          timeout);
    } finally {
      lock.unlock();
    }
  }

  private CompletableFuture<Token> awaitSuccessor(long generation, Duration timeout) {
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
      kick();
      return await(
          now -> follower.successor(generation, now),
          now -> follower.reportSetbacks() == seen ? null : again(follower.reportError()),
          Errors::noSuccessor,
          timeout);
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
      java.util.function.Supplier<MintonceException> late,
      Duration timeout) {
    Waiter waiter = new Waiter(done, failed);
    Runnable outcome = waiter.outcome(Clock.now());
    if (outcome != null) {
      outcome.run(); // nobody depends on it yet
      return waiter.result;
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
              waiter.result.completeExceptionally(error);
            });
    waiter.result.whenComplete(
        (token, error) -> {
          alarm.cancel(false);
          lock.lock();
          try {
            waiters.remove(waiter);
          } finally {
            lock.unlock();
          }
        });
    return waiter.result;
  }

  /**
   * For futures that callers get: what they hang on to them runs in the executor, and never in
   * ours.
   */
  private CompletableFuture<Token> forCallers(
      java.util.function.Supplier<CompletableFuture<Token>> start) {
    CompletableFuture<Token> inner;
    try {
      inner = start.get();
    } catch (MintonceException e) {
      return CompletableFuture.failedFuture(e);
    }
    CompletableFuture<Token> outer = new CompletableFuture<>();
    inner.whenCompleteAsync(
        (token, error) -> {
          if (error == null) {
            outer.complete(token);
          } else {
            outer.completeExceptionally(
                error instanceof CompletionException && error.getCause() != null
                    ? error.getCause()
                    : error);
          }
        },
        executor);
    outer.whenComplete(
        (token, error) -> {
          if (outer.isCancelled()) {
            inner.cancel(false);
          }
        });
    return outer;
  }

  // ---- the work in the background

  private void start() {
    Background.run(this::step);
  }

  /**
   * Does what the follower says. Only from Background: a caller's gRPC context must not end our
   * calls.
   */
  private void step() {
    Step step;
    lock.lock();
    try {
      if (closed || busy) {
        return;
      }
      busy = true;
      kicked = false;
      step = follower.next(Clock.now());
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
            update(follower::reported);
          } else {
            update(now -> follower.reportFailed(known(error), now));
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
            update(now -> follower.fetched(token, now));
          } else {
            update(now -> follower.fetchFailed(known(error), now));
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
                update(now -> follower.offer(token, now));
              }

              @Override
              public void onEnd(@Nullable Throwable error) {
                MintonceException known = error == null ? null : known(error);
                update(now -> follower.watchEnded(known, startedAt, limit, now));
                finish();
              }
            });
    boolean unwanted;
    lock.lock();
    try {
      watch = started;
      unwanted = kicked || closed;
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
      update(now -> follower.reportFailed(known, now));
    } else if (step instanceof Step.Fetch) {
      update(now -> follower.fetchFailed(known, now));
    } else if (step instanceof Step.Watch watch) {
      update(now -> follower.watchEnded(known, now, watch.limit(), now));
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
      if (closed) {
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
      unwanted = closed;
    } finally {
      lock.unlock();
    }
    if (unwanted) {
      answer.cancel(true);
    }
  }

  /** Changes the follower, and tells everybody. */
  private void update(Consumer<Double> change) {
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
      change.accept(now);
      after = follower.token();
      if (!Objects.equals(after, before)) {
        hold(after);
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

  /** With the lock held, or before anybody reads: what reads get from now on. */
  private void hold(@Nullable Token token) {
    Snapshot old = snapshot;
    snapshot = token == null ? null : new Snapshot(token);
    if (old != null) {
      old.alarm.cancel(false);
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

  private void mustBeOpen() {
    if (closed) {
      throw Errors.closed("source");
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

  private static double jitter() {
    return ThreadLocalRandom.current().nextDouble();
  }

  /**
   * A token as reads find it. To look at the clock costs several times as much as all else: far
   * from the end a read does without it, until an alarm goes off, which may be late by {@link
   * #CLOSE} and no harm done.
   */
  private static final class Snapshot {
    /**
     * Seconds before the end from which each read looks at the clock; half the life if that is
     * less.
     */
    private static final double CLOSE = 30;

    private final Token token;
    private final Future<?> alarm;
    private volatile boolean farFromEnd;

    Snapshot(Token token) {
      this.token = token;
      double remaining = token.expiresAt() - Clock.now();
      farFromEnd = remaining > 0;
      alarm =
          Background.after(remaining - Math.min(CLOSE, remaining / 2), () -> farFromEnd = false);
    }

    boolean isLive() {
      return farFromEnd || token.isLive();
    }
  }

  /** Somebody who waits for a token. */
  private record Waiter(
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

  /** Ends calls of a listener. */
  public interface Subscription extends AutoCloseable {
    /** No call begins after this. Closing twice does nothing. */
    @Override
    void close();
  }

  private final class Listener implements Subscription {
    private final Consumer<? super Token> listener;
    private boolean scheduled;
    private @Nullable Token told;

    Listener(Consumer<? super Token> listener) {
      this.listener = listener;
    }

    void updated() {
      synchronized (this) {
        if (scheduled) {
          return;
        }
        scheduled = true;
      }
      executor.execute(this::call);
    }

    @Override
    public void close() {
      listeners.remove(this);
    }

    private void call() {
      while (true) {
        @Nullable Token token;
        synchronized (this) {
          Snapshot held = snapshot;
          token = held == null ? null : held.token;
          if (token == null || token.equals(told) || !listeners.contains(this)) {
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

  /** Builds a {@link TokenSource}. */
  public static final class Builder extends ConnectionBuilder<Builder> {
    private final String client;
    private String audience = "";
    private List<String> scopes = List.of();
    private @Nullable TokenClient via;
    private Duration waitForServer = Duration.ZERO;
    private Executor executor = ForkJoinPool.commonPool();

    private Builder(String client) {
      this.client = Objects.requireNonNull(client);
    }

    /** The API that the token is for. Default: the issuer's default. */
    public Builder audience(String audience) {
      this.audience = Objects.requireNonNull(audience);
      return this;
    }

    /** The scopes (RFC 6749, section 3.3), in any order. Default: the issuer's default. */
    public Builder scopes(String... scopes) {
      this.scopes = List.of(scopes);
      return this;
    }

    /**
     * A client to share. It stays the caller's to close, and has its own target and credentials.
     */
    public Builder via(TokenClient via) {
      this.via = Objects.requireNonNull(via);
      return this;
    }

    /**
     * How long {@link #open()} waits for a server that is not there yet: Kubernetes starts things
     * in any order. Default: it fails at once. Other errors always end it at once.
     */
    public Builder waitForServer(Duration waitForServer) {
      if (waitForServer.isNegative()) {
        throw new IllegalArgumentException("waitForServer must not be negative");
      }
      this.waitForServer = waitForServer;
      return this;
    }

    /** Where listeners and what hangs on to futures run. Default: the common pool. */
    public Builder executor(Executor executor) {
      this.executor = Objects.requireNonNull(executor);
      return this;
    }

    /**
     * Gets the first token. Everything is released when that fails.
     *
     * @return a source that is ready; close it at the end
     * @throws MintonceException if there is no token
     * @throws IllegalArgumentException if a shared client is given and how to connect, too
     * @throws CancellationException if the thread is interrupted
     */
    public TokenSource open() {
      if (via != null && saysHowToConnect()) {
        throw new IllegalArgumentException(
            "give target, tls and bearer to the client that the source shares");
      }
      TokenClient used = via == null ? TokenClient.own(way(), timeout()) : via;
      try {
        Token first = first(used.withTimeout(timeout()));
        TokenSource source = new TokenSource(this, used, via == null, first);
        source.start();
        return source;
      } catch (Throwable e) {
        if (via == null) {
          used.close();
        }
        throw e;
      }
    }

    private Token first(TokenClient client) {
      double end = Clock.now() + Clock.seconds(waitForServer);
      for (int failures = 1; ; failures++) {
        try {
          return client.get(key());
        } catch (MintonceException e) {
          boolean passing = e instanceof UnreachableException || e.reason().equals("DRAINING");
          double left = end - Clock.now();
          if (!passing || left <= 0) {
            throw e;
          }
          sleep(Math.min(left, Follower.backoff(failures, e, TokenSource::jitter)));
        }
      }
    }

    private static void sleep(double seconds) {
      try {
        Thread.sleep(Clock.duration(seconds).toMillis());
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        CancellationException cancelled = new CancellationException("interrupted");
        cancelled.initCause(e);
        throw cancelled;
      }
    }

    private TokenKey key() {
      return new TokenKey(client, audience, scopes);
    }

    @Override
    Builder self() {
      return this;
    }
  }
}
