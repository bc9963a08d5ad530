package io.mintonce;

import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Consumer;
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
  private final TokenKey key;
  private final TokenClient client;
  private final boolean ownsClient;
  private final Duration timeout;
  private final Executor executor;
  private final SourceLoop loop;
  private final SourceState state;

  private TokenSource(Builder builder, TokenClient client, boolean ownsClient, Token first) {
    this.key = builder.key();
    this.client = client;
    this.ownsClient = ownsClient;
    this.timeout = builder.timeout();
    this.executor = builder.executor;
    this.loop = new SourceLoop(key, client, timeout, first);
    this.state = loop.state();
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
    Token live = state.peek();
    return live != null ? live : Futures.await(state.awaitLive(timeout));
  }

  /**
   * As {@link #get()}, without waiting.
   *
   * @return the token to come; it is here already unless it is over
   */
  public CompletableFuture<Token> getAsync() {
    Token live = state.peek();
    return live != null
        ? CompletableFuture.completedFuture(live)
        : Futures.in(executor, () -> state.awaitLive(timeout));
  }

  /**
   * The live token, from memory. Never waits.
   *
   * @return the token
   * @throws TokenExpiredException if it is over and no successor is here
   */
  public Token token() {
    Token live = state.peek();
    return live != null ? live : state.mustBeLive();
  }

  /**
   * The live token, from memory. Never waits.
   *
   * @return the token; empty if it is over and no successor is here
   */
  public Optional<Token> peek() {
    Token live = state.peek();
    return live != null ? Optional.of(live) : Optional.ofNullable(state.live());
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
    return Futures.await(state.awaitSuccessor(token.generation(), timeout));
  }

  /**
   * As {@link #reject(Token)}, without waiting.
   *
   * @param token the token that was refused
   * @return the successor to come. Cancelling it does not take the report back
   */
  public CompletableFuture<Token> rejectAsync(Token token) {
    return Futures.in(executor, () -> state.awaitSuccessor(token.generation(), timeout));
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
    return Futures.await(state.awaitUpdate(than.generation(), timeout));
  }

  /**
   * Calls a listener with each new token, in the source's executor, one call at a time. A slow
   * listener misses tokens that have been replaced meanwhile, and never the newest.
   *
   * @param listener what to call
   * @return closes the subscription
   */
  public Subscription onUpdate(Consumer<? super Token> listener) {
    Listener added = new Listener(state, executor, listener);
    state.add(added);
    return added;
  }

  /**
   * Ends the work in the background, and the client if it is the source's own. Callers that wait
   * get {@link ClosedException}. Closing twice does nothing.
   */
  @Override
  public void close() {
    if (state.close()) {
      loop.stop();
      if (ownsClient) {
        client.close();
      }
    }
  }

  @Override
  public String toString() {
    Token held = state.held();
    return "TokenSource[" + key + ", " + (held == null ? "no token" : held) + "]";
  }

  /** Ends calls of a listener. */
  public interface Subscription extends AutoCloseable {
    /** No call begins after this. Closing twice does nothing. */
    @Override
    void close();
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
        source.loop.start();
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
          sleep(
              Math.min(
                  left,
                  Follower.backoff(failures, e, () -> ThreadLocalRandom.current().nextDouble())));
        }
      }
    }

    private static void sleep(double seconds) {
      try {
        Thread.sleep(Clock.duration(seconds).toMillis());
      } catch (InterruptedException e) {
        throw Futures.interrupted(e);
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
