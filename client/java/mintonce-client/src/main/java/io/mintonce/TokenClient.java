package io.mintonce;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Context;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import io.mintonce.v1.AdminServiceGrpc;
import io.mintonce.v1.TokenServiceGrpc;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The calls of mintonced. Thread-safe. Make one and keep it; close it at the end.
 *
 * <p>To send one token again and again use a {@link TokenSource}: it reads memory where {@link
 * #get} makes a call.
 *
 * <p>Calls throw {@link MintonceException}, and {@link CancellationException} when the thread is
 * interrupted or the gRPC {@link Context} of the caller is cancelled. The futures of the
 * asynchronous ones end with the same; cancelling a future cancels the call. Code that depends on a
 * future and blocks should run in an executor of its own.
 */
public final class TokenClient implements AutoCloseable {
  private static final int SHA256_BYTES = 32;

  private final Connection connection;
  private final Duration timeout;

  private TokenClient(Connection connection, Duration timeout) {
    this.connection = connection;
    this.timeout = timeout;
  }

  /** Starts with what the environment says. */
  public static Builder builder() {
    return new Builder();
  }

  /**
   * A view with another timeout. It shares the connection: closing either closes both.
   *
   * @param timeout how long a call may take, retries included
   * @return the view
   */
  public TokenClient withTimeout(Duration timeout) {
    return new TokenClient(connection, ConnectionBuilder.positive(timeout));
  }

  /**
   * The live token of a key, minted if there is none.
   *
   * @param key which token
   * @return the token
   */
  public Token get(TokenKey key) {
    return Futures.await(getAsync(key));
  }

  /**
   * As {@link #get(TokenKey)}.
   *
   * @param key which token
   * @param minTtl the life that it should have left
   * @return the token
   */
  public Token get(TokenKey key, Duration minTtl) {
    return Futures.await(fetch(key, minTtl));
  }

  /**
   * As {@link #get(TokenKey)}, without waiting.
   *
   * @param key which token
   * @return the token to come
   */
  public CompletableFuture<Token> getAsync(TokenKey key) {
    return fetch(key, null);
  }

  /**
   * The live token, then each successor as it is committed. Ends with an exception when the server
   * drains or is lost; a source would go on.
   *
   * @param key which token
   * @return the tokens; close it to end the call
   */
  public TokenWatch watch(TokenKey key) {
    return new TokenWatch(this, key, null);
  }

  /**
   * As {@link #watch(TokenKey)}, for a limited time: then it ends with {@link
   * UnavailableException}.
   *
   * @param key which token
   * @param limit how long to watch
   * @return the tokens; close it to end the call
   */
  public TokenWatch watch(TokenKey key, Duration limit) {
    return new TokenWatch(this, key, ConnectionBuilder.positive(limit));
  }

  /**
   * Reports that a resource server refused the token of this generation.
   *
   * @param key the key of the token
   * @param generation its generation
   * @return true: it was the current token and is served no more; false: it had been replaced
   *     before
   */
  public boolean reject(TokenKey key, long generation) {
    return Futures.await(rejectAsync(key, generation));
  }

  /**
   * As {@link #reject(TokenKey, long)}, for callers that do not know the generation.
   *
   * @param key the key of the token
   * @param sha256 the SHA-256 of its text, 32 bytes
   * @return true: it was the current token and is served no more; false: it had been replaced
   *     before
   * @throws IllegalArgumentException if there are not 32 bytes
   */
  public boolean reject(TokenKey key, byte[] sha256) {
    if (sha256.length != SHA256_BYTES) {
      throw new IllegalArgumentException("a SHA-256 has 32 bytes");
    }
    return Futures.await(
        unary(
            TokenServiceGrpc.getRejectTokenMethod(),
            Messages.reject(key, sha256),
            (answer, sentAt) -> answer.getWasCurrent()));
  }

  /**
   * As {@link #reject(TokenKey, long)}, without waiting.
   *
   * @param key the key of the token
   * @param generation its generation
   * @return the answer to come
   */
  public CompletableFuture<Boolean> rejectAsync(TokenKey key, long generation) {
    return unary(
        TokenServiceGrpc.getRejectTokenMethod(),
        Messages.reject(key, generation),
        (answer, sentAt) -> answer.getWasCurrent());
  }

  /**
   * A page of the live tokens, never their text.
   *
   * @param client only the tokens of this client; "" for all
   * @param pageSize at most so many; 0 for 1000, which is also the maximum
   * @param pageToken {@link TokenPage#nextPageToken()} of the page before; "" for the first page
   * @return the page, which may have fewer
   */
  public TokenPage listTokens(String client, int pageSize, String pageToken) {
    return Futures.await(
        unary(
            AdminServiceGrpc.getListTokensMethod(),
            Messages.list(client, pageSize, pageToken),
            (answer, sentAt) -> Messages.page(answer)));
  }

  /**
   * Mints the successor of a key's token now. The old one is served until then.
   *
   * @param key which token
   * @return the generations before and after
   */
  public Rotation rotate(TokenKey key) {
    return Futures.await(
        unary(
            AdminServiceGrpc.getRotateTokenMethod(),
            Messages.rotate(key),
            (answer, sentAt) ->
                new Rotation(answer.getPreviousGeneration(), answer.getGeneration())));
  }

  /** Cancels what is under way: those calls end with {@link ClosedException}. */
  @Override
  public void close() {
    connection.close();
  }

  /** Null: no limit. The listener is called by gRPC's threads, one call at a time. */
  WatchCall watch(TokenKey key, @Nullable Duration limit, WatchListener listener) {
    CallOptions options =
        limit == null
            ? CallOptions.DEFAULT
            : CallOptions.DEFAULT.withDeadlineAfter(limit.toNanos(), TimeUnit.NANOSECONDS);
    WatchObserver observer = new WatchObserver(listener, Clock.now());
    var request = Messages.watch(key);
    observer.call =
        connection.start(
            TokenServiceGrpc.getWatchTokenMethod(),
            options,
            call -> ClientCalls.asyncServerStreamingCall(call, request, observer));
    return observer;
  }

  private CompletableFuture<Token> fetch(TokenKey key, @Nullable Duration minTtl) {
    return unary(
        TokenServiceGrpc.getGetTokenMethod(),
        Messages.get(key, minTtl),
        (answer, sentAt) -> Messages.token(answer.getToken(), sentAt));
  }

  private <Q, R, T> CompletableFuture<T> unary(
      MethodDescriptor<Q, R> method, Q request, Reader<R, T> reader) {
    CompletableFuture<T> result = new CompletableFuture<>();
    CallOptions options =
        CallOptions.DEFAULT.withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS);
    double sentAt = Clock.now();
    StreamObserver<R> observer =
        new UnaryObserver<>(result, answer -> reader.read(answer, sentAt), this::failure);
    ClientCall<Q, R> call =
        connection.start(
            method, options, each -> ClientCalls.asyncUnaryCall(each, request, observer));
    result.whenComplete(
        (value, error) -> {
          if (result.isCancelled()) {
            call.cancel("the caller cancelled", null);
          }
        });
    return result;
  }

  /** {@code context}: the caller's. */
  private Throwable failure(Throwable error, Context context) {
    StatusRuntimeException status =
        error instanceof StatusRuntimeException known
            ? known
            : Status.fromThrowable(error).asRuntimeException();
    if (status.getStatus().getCode() == Status.Code.CANCELLED && context.isCancelled()) {
      return new CancellationException("the gRPC context of the caller was cancelled");
    }
    return connection.translate(status);
  }

  /** Makes our value of an answer. */
  private interface Reader<R, T> {
    T read(R answer, double sentAt);
  }

  /** What failed into what the caller gets. */
  private interface Failure {
    Throwable of(Throwable error, Context context);
  }

  private static final class UnaryObserver<R, T> implements StreamObserver<R> {
    private final CompletableFuture<T> result;
    private final Function<R, T> reader;
    private final Failure failure;
    private final Context context = Context.current();

    UnaryObserver(CompletableFuture<T> result, Function<R, T> reader, Failure failure) {
      this.result = result;
      this.reader = reader;
      this.failure = failure;
    }

    @Override
    public void onNext(R answer) {
      try {
        result.complete(reader.apply(answer));
      } catch (MintonceException e) {
        result.completeExceptionally(e);
      }
    }

    @Override
    public void onError(Throwable error) {
      result.completeExceptionally(failure.of(error, context));
    }

    @Override
    public void onCompleted() {}
  }

  /** What comes of a watch. */
  interface WatchListener {
    void onToken(Token token);

    /** Null: it ended well, or was cancelled by its owner. */
    void onEnd(@Nullable Throwable error);
  }

  /** A watch under way. */
  interface WatchCall {
    void cancel();
  }

  private final class WatchObserver
      implements StreamObserver<io.mintonce.v1.WatchTokenResponse>, WatchCall {
    private final WatchListener listener;
    private final Context context = Context.current();
    private double anchor;
    private boolean ended;
    private volatile boolean cancelled;
    private volatile @Nullable ClientCall<?, ?> call;

    WatchObserver(WatchListener listener, double sentAt) {
      this.listener = listener;
      this.anchor = sentAt;
    }

    @Override
    public void onNext(io.mintonce.v1.WatchTokenResponse message) {
      if (ended) {
        return;
      }
      // The first answers the call; what is pushed later was on its way for a part of a round trip.
      double counted = Double.isNaN(anchor) ? Clock.now() : anchor;
      anchor = Double.NaN;
      Token token;
      try {
        token = Messages.token(message.getToken(), counted);
      } catch (MintonceException e) {
        end(e);
        cancel();
        return;
      }
      listener.onToken(token);
    }

    @Override
    public void onError(Throwable error) {
      end(cancelled ? null : failure(error, context));
    }

    @Override
    public void onCompleted() {
      end(null);
    }

    /** Once: a message that cannot be read is the end, and the call's own end comes after it. */
    private void end(@Nullable Throwable error) {
      if (!ended) {
        ended = true;
        listener.onEnd(error);
      }
    }

    @Override
    public void cancel() {
      cancelled = true;
      ClientCall<?, ?> running = call;
      if (running != null) {
        running.cancel("no longer needed", null);
      }
    }
  }

  /** Builds a {@link TokenClient}. */
  public static final class Builder extends ConnectionBuilder<Builder> {
    private Builder() {}

    /**
     * Reads the files. No call is made yet.
     *
     * @return the client; close it at the end
     * @throws RefusedException if the files or the environment cannot be used
     */
    public TokenClient build() {
      return new TokenClient(new Connection(way()), timeout());
    }

    @Override
    Builder self() {
      return this;
    }
  }

  static TokenClient own(Way way, Duration timeout) {
    return new TokenClient(new Connection(way), timeout);
  }
}
