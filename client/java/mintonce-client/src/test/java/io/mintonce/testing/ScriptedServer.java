package io.mintonce.testing;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.protobuf.Timestamp;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerCredentials;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.mintonce.v1.AdminServiceGrpc;
import io.mintonce.v1.GetTokenRequest;
import io.mintonce.v1.GetTokenResponse;
import io.mintonce.v1.ListTokensRequest;
import io.mintonce.v1.ListTokensResponse;
import io.mintonce.v1.RejectTokenRequest;
import io.mintonce.v1.RejectTokenResponse;
import io.mintonce.v1.RotateTokenRequest;
import io.mintonce.v1.RotateTokenResponse;
import io.mintonce.v1.Token;
import io.mintonce.v1.TokenKey;
import io.mintonce.v1.TokenServiceGrpc;
import io.mintonce.v1.TokenSummary;
import io.mintonce.v1.WatchTokenRequest;
import io.mintonce.v1.WatchTokenResponse;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * A mintonced whose answers a test decides: a real gRPC server at a real port of loopback.
 * Thread-safe.
 *
 * <p>Left alone it behaves: it serves one token, and mints the next generation when that was
 * rejected or has ended.
 */
public final class ScriptedServer implements AutoCloseable {
  /** The text of each token begins so: what prints it is found by that. */
  public static final String SECRET = "secret-";

  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
  private static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);
  private static final Metadata.Key<String> PUSHBACK =
      Metadata.Key.of("grpc-retry-pushback-ms", Metadata.ASCII_STRING_MARSHALLER);

  /** Calls so far, retries included. */
  public final AtomicInteger gets = new AtomicInteger();

  public final AtomicInteger watches = new AtomicInteger();
  public final AtomicInteger rejects = new AtomicInteger();
  public final AtomicInteger rotations = new AtomicInteger();

  /** The authorization of each call, "" for none. */
  public final List<String> authorizations = new CopyOnWriteArrayList<>();

  /** The authority of each call. */
  public final List<String> authorities = new CopyOnWriteArrayList<>();

  /** The last request to reject. */
  public volatile @Nullable RejectTokenRequest lastReject;

  /** When set, the calls of that kind fail so. */
  public volatile @Nullable StatusRuntimeException failGet;

  public volatile @Nullable StatusRuntimeException failWatch;
  public volatile @Nullable StatusRuntimeException failReject;
  public volatile @Nullable StatusRuntimeException failRotate;

  /** Lives of the tokens that are minted, in milliseconds. */
  public volatile long lifeMillis = 60_000;

  public volatile long refreshMillis = 50_000;

  /** How long GetToken takes. */
  public volatile long delayMillis;

  /** GetToken is not answered. */
  public volatile boolean silent;

  /** Changes each token before it is sent. */
  public volatile java.util.function.UnaryOperator<Token.Builder> edit = token -> token;

  private static final long MARGIN_NANOS = 50_000_000;

  private final ServerCredentials credentials;
  private final BlockingQueue<String> ended = new LinkedBlockingQueue<>();
  private final CopyOnWriteArrayList<StreamObserver<WatchTokenResponse>> watchers =
      new CopyOnWriteArrayList<>();
  private Server server;
  private int port;
  private long generation = 100;
  private long endsAt;
  private long refreshAt;
  private boolean minted;

  public ScriptedServer() {
    this(InsecureServerCredentials.create());
  }

  public ScriptedServer(ServerCredentials credentials) {
    this.credentials = credentials;
    this.server = start(credentials, 0);
    this.port = server.getPort();
  }

  public int port() {
    return port;
  }

  public String target() {
    return "127.0.0.1:" + port;
  }

  /** The text of the token of a generation. */
  public static String text(long generation) {
    return SECRET + generation;
  }

  /** Commits a token and pushes it to the watches. */
  public synchronized void publish(long generation, long lifeMillis, long refreshMillis) {
    set(generation, lifeMillis, refreshMillis);
    WatchTokenResponse message = WatchTokenResponse.newBuilder().setToken(current()).build();
    for (StreamObserver<WatchTokenResponse> watcher : watchers) {
      try {
        watcher.onNext(message);
      } catch (RuntimeException e) {
        watchers.remove(watcher);
      }
    }
  }

  /** The number of open watches that have had their first message. */
  public int watching() {
    return watchers.size();
  }

  /** Ends every watch. */
  public synchronized void endWatches(StatusRuntimeException error) {
    for (StreamObserver<WatchTokenResponse> watcher : watchers) {
      watchers.remove(watcher);
      watcher.onError(error);
    }
  }

  /** Waits for the end of a watch by its caller. */
  public boolean awaitWatchEnd() throws InterruptedException {
    return ended.poll(10, TimeUnit.SECONDS) != null;
  }

  /** Whether no watch is ended by its caller for so long. */
  public boolean watchesLast(long millis) throws InterruptedException {
    return ended.poll(millis, TimeUnit.MILLISECONDS) == null;
  }

  /** Cuts every connection and listens no more. */
  public void stop() throws InterruptedException {
    server.shutdownNow();
    server.awaitTermination(10, TimeUnit.SECONDS);
    watchers.clear();
  }

  /** Listens again at the same port. */
  public void restart() {
    server = start(credentials, port);
  }

  @Override
  public void close() {
    server.shutdownNow();
  }

  /** An error as mintonced sends it, which stops retries unless it drains. */
  public static StatusRuntimeException error(Status.Code code, String reason, long retryMillis) {
    return error(code, reason, "mintonce", retryMillis, !reason.equals("DRAINING"));
  }

  public static StatusRuntimeException error(
      Status.Code code, String reason, String domain, long retryMillis, boolean pushback) {
    var status =
        com.google.rpc.Status.newBuilder()
            .setCode(code.value())
            .addDetails(
                Any.pack(
                    ErrorInfo.newBuilder()
                        .setReason(reason)
                        .setDomain(domain)
                        .putAllMetadata(
                            Map.of("remedy", "Do this.", "request_id", "r-1", "issuer_error", "e"))
                        .build()));
    if (retryMillis > 0) {
      status.addDetails(
          Any.pack(RetryInfo.newBuilder().setRetryDelay(duration(retryMillis)).build()));
    }
    return raw(code, status.build().toByteArray(), pushback);
  }

  /** Any details, or none when null. */
  public static StatusRuntimeException raw(
      Status.Code code, byte @Nullable [] details, boolean pushback) {
    Metadata trailers = new Metadata();
    if (details != null) {
      trailers.put(DETAILS, details);
    }
    if (pushback) {
      trailers.put(PUSHBACK, "-1");
    }
    return code.toStatus().withDescription("as scripted").asRuntimeException(trailers);
  }

  private synchronized Token serve() {
    // With a margin: a caller counts from before the call, so its token ends a little earlier.
    if (!minted || System.nanoTime() - endsAt >= -MARGIN_NANOS) {
      set(generation + 1, lifeMillis, refreshMillis);
    }
    return current();
  }

  private void set(long generation, long lifeMillis, long refreshMillis) {
    this.generation = generation;
    this.endsAt = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(lifeMillis);
    this.refreshAt = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(refreshMillis);
    this.minted = true;
  }

  private Token current() {
    long now = System.nanoTime();
    long left = TimeUnit.NANOSECONDS.toMillis(endsAt - now);
    Token.Builder token =
        Token.newBuilder()
            .setAccessToken(text(generation))
            .setTokenType("Bearer")
            .setGeneration(generation)
            .setExpiresIn(duration(left))
            .setRefreshIn(duration(Math.max(0, TimeUnit.NANOSECONDS.toMillis(refreshAt - now))))
            .setExpireTime(Timestamp.newBuilder().setSeconds(4_000_000_000L))
            .addScopes("a");
    return edit.apply(token).build();
  }

  private synchronized boolean drop(RejectTokenRequest request) {
    boolean current = minted && request.getGeneration() == generation;
    minted = minted && !current;
    return current;
  }

  private static Duration duration(long millis) {
    return Duration.newBuilder()
        .setSeconds(millis / 1000)
        .setNanos((int) (millis % 1000) * 1_000_000)
        .build();
  }

  private Server start(ServerCredentials credentials, int port) {
    try {
      return Grpc.newServerBuilderForPort(port, credentials)
          .addService(new Tokens())
          .addService(new Admin())
          .intercept(new Recorder())
          .build()
          .start();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void pause(long millis) {
    try {
      Thread.sleep(millis);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private final class Recorder implements ServerInterceptor {
    @Override
    public <Q, R> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
      String sent = headers.get(AUTHORIZATION);
      authorizations.add(sent == null ? "" : sent);
      authorities.add(String.valueOf(call.getAuthority()));
      return Contexts.interceptCall(Context.current(), call, headers, next);
    }
  }

  private final class Tokens extends TokenServiceGrpc.TokenServiceImplBase {
    @Override
    public void getToken(GetTokenRequest request, StreamObserver<GetTokenResponse> answer) {
      gets.incrementAndGet();
      StatusRuntimeException failure = failGet;
      if (failure != null) {
        answer.onError(failure);
      } else if (!silent) {
        Token token = serve();
        pause(delayMillis);
        answer.onNext(GetTokenResponse.newBuilder().setToken(token).build());
        answer.onCompleted();
      }
    }

    @Override
    public void watchToken(WatchTokenRequest request, StreamObserver<WatchTokenResponse> answer) {
      watches.incrementAndGet();
      StatusRuntimeException failure = failWatch;
      if (failure != null) {
        answer.onError(failure);
        return;
      }
      var cancellable = (ServerCallStreamObserver<WatchTokenResponse>) answer;
      cancellable.setOnCancelHandler(
          () -> {
            watchers.remove(answer);
            ended.add("");
          });
      synchronized (ScriptedServer.this) { // so that no push falls between the two
        answer.onNext(WatchTokenResponse.newBuilder().setToken(serve()).build());
        watchers.add(answer);
      }
    }

    @Override
    public void rejectToken(
        RejectTokenRequest request, StreamObserver<RejectTokenResponse> answer) {
      rejects.incrementAndGet();
      lastReject = request;
      StatusRuntimeException failure = failReject;
      if (failure != null) {
        answer.onError(failure);
      } else {
        answer.onNext(RejectTokenResponse.newBuilder().setWasCurrent(drop(request)).build());
        answer.onCompleted();
      }
    }
  }

  private final class Admin extends AdminServiceGrpc.AdminServiceImplBase {
    @Override
    public void listTokens(ListTokensRequest request, StreamObserver<ListTokensResponse> answer) {
      answer.onNext(
          ListTokensResponse.newBuilder()
              .addTokens(
                  TokenSummary.newBuilder()
                      .setKey(TokenKey.newBuilder().setClient("billing").addScopes("a"))
                      .setGeneration(7)
                      .setExpiresIn(duration(2500))
                      .setKeyHash("h"))
              .setNextPageToken("next")
              .setIncomplete(true)
              .build());
      answer.onCompleted();
    }

    @Override
    public void rotateToken(
        RotateTokenRequest request, StreamObserver<RotateTokenResponse> answer) {
      rotations.incrementAndGet();
      StatusRuntimeException failure = failRotate;
      if (failure != null) {
        answer.onError(failure);
        return;
      }
      answer.onNext(
          RotateTokenResponse.newBuilder().setPreviousGeneration(1).setGeneration(2).build());
      answer.onCompleted();
    }
  }
}
