package io.mintonce;

import static io.mintonce.testing.Eventually.eventually;
import static io.mintonce.testing.ScriptedServer.error;
import static io.mintonce.testing.ScriptedServer.raw;
import static io.mintonce.testing.ScriptedServer.text;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Context;
import io.grpc.Status;
import io.mintonce.testing.ScriptedServer;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class TokenSourceTest {
  private final ScriptedServer server = new ScriptedServer();

  @AfterEach
  void stop() {
    server.close();
  }

  private TokenSource.Builder builder() {
    return TokenSource.builder("billing")
        .environment(Map.of())
        .audience("https://api.example.com/")
        .target(server.target());
  }

  @Test
  void openReturnsTheFirstTokenWithOneCall() {
    try (TokenSource source = builder().open()) {
      assertEquals("Bearer " + text(101), source.get().header());
      assertEquals(1, server.gets.get());
    }
  }

  @Test
  void readingMakesNoCall() {
    try (TokenSource source = builder().open()) {
      for (int i = 0; i < 10_000; i++) {
        assertSame(source.token(), source.get());
        assertTrue(source.peek().isPresent());
      }
      assertEquals(1, server.gets.get());
    }
  }

  @Test
  void openFailsAsTheServerSaysAndReleasesEverything() {
    server.failGet = error(Status.Code.NOT_FOUND, "UNKNOWN_CLIENT", 0);
    RefusedException error = assertThrows(RefusedException.class, () -> builder().open());
    assertEquals("UNKNOWN_CLIENT", error.reason());
    assertEquals("Do this.", error.remedy());
    assertEquals("r-1", error.requestId());
    assertEquals(Status.Code.NOT_FOUND, error.code());
    assertEquals(1, server.gets.get());
  }

  @Test
  void openFailsAtOnceWhereNothingListens() throws Exception {
    int port;
    try (ServerSocket socket = new ServerSocket(0)) {
      port = socket.getLocalPort();
    }
    String target = "127.0.0.1:" + port;
    UnreachableException error =
        assertThrows(UnreachableException.class, () -> builder().target(target).open());
    assertEquals("UNREACHABLE", error.reason());
    assertTrue(error.getMessage().contains("nothing listens there"), error.getMessage());
    assertTrue(error.remedy().contains(target), error.remedy());
  }

  @Test
  void openWaitsForAServerThatIsNotThereYet() throws Exception {
    server.stop();
    CompletableFuture<TokenSource> opening =
        CompletableFuture.supplyAsync(() -> builder().waitForServer(Duration.ofSeconds(30)).open());
    Thread.sleep(300); // so that the first try fails
    server.restart();
    try (TokenSource source = opening.get(20, TimeUnit.SECONDS)) {
      assertTrue(source.get().isLive());
    }
  }

  @Test
  void aRefusalEndsTheWaitForTheServer() {
    server.failGet = error(Status.Code.PERMISSION_DENIED, "PERMISSION_DENIED", 0);
    assertThrows(
        RefusedException.class, () -> builder().waitForServer(Duration.ofMinutes(1)).open());
  }

  @Test
  void aPushedSuccessorIsSeenWithoutGetToken() throws Exception {
    try (TokenSource source = builder().open()) {
      Token first = source.get();
      eventually("a watch", () -> server.watches.get() == 1);
      server.publish(200, 60_000, 50_000);
      Token next = source.awaitUpdate(first, Duration.ofSeconds(10));
      assertEquals(200, next.generation());
      assertEquals(200, source.get().generation());
      assertEquals(1, server.gets.get());
    }
  }

  @Test
  void withoutWatchesTheSuccessorComesByGetToken() throws Exception {
    server.failWatch = error(Status.Code.UNIMPLEMENTED, "", 0);
    server.lifeMillis = 1200;
    server.refreshMillis = 300;
    try (TokenSource source = builder().open()) {
      Token first = source.get();
      assertEquals(102, source.awaitUpdate(first, Duration.ofSeconds(10)).generation());
      assertEquals(1, server.watches.get());
    }
  }

  @Test
  void aLowerGenerationCountsOnlyWhenNothingLives() throws Exception {
    server.lifeMillis = 1000;
    server.refreshMillis = 1000;
    try (TokenSource source = builder().open()) {
      eventually("a watch", () -> server.watches.get() == 1);
      server.publish(50, 60_000, 50_000);
      assertEquals(101, source.get().generation());
      eventually("its end", () -> source.peek().map(Token::generation).orElse(0L) != 101L);
      assertEquals(50, source.get().generation());
    }
  }

  @Test
  void theTokenIsServedToItsTrueEndAndNoLonger() throws Exception {
    server.lifeMillis = 1500;
    server.refreshMillis = 1500;
    try (TokenSource source = builder().timeout(Duration.ofSeconds(5)).open()) {
      Token token = source.get();
      server.stop();
      while (token.isLive()) {
        assertEquals(101, source.peek().map(Token::generation).orElse(101L));
        Thread.sleep(5);
      }
      assertEquals(Optional.empty(), source.peek());
      TokenExpiredException error = assertThrows(TokenExpiredException.class, source::get);
      assertEquals("TOKEN_EXPIRED", error.reason());
      eventually(
          "a cause",
          () ->
              assertThrows(TokenExpiredException.class, source::token).getCause()
                  instanceof UnreachableException);
    }
  }

  @Test
  void aServerThatComesBackIsFoundAgain() throws Exception {
    server.lifeMillis = 500;
    server.refreshMillis = 500;
    try (TokenSource source = builder().open()) {
      server.stop();
      eventually("its end", () -> source.peek().isEmpty());
      assertThrows(TokenExpiredException.class, source::get);
      server.lifeMillis = 60_000;
      server.refreshMillis = 50_000;
      server.restart();
      eventually("a token", () -> source.peek().isPresent());
    }
  }

  @Test
  void aDrainingServerIsWatchedAgainAndNothingIsSeen() throws Exception {
    try (TokenSource source = builder().open()) {
      eventually("a watch", () -> server.watches.get() == 1);
      server.endWatches(error(Status.Code.UNAVAILABLE, "DRAINING", 0));
      eventually("another watch", () -> server.watches.get() >= 2);
      assertEquals(101, source.get().generation());
      assertEquals(1, server.gets.get());
    }
  }

  @Test
  void manyThatWaitMakeOneCall() throws Exception {
    server.failWatch = error(Status.Code.UNIMPLEMENTED, "", 0);
    server.lifeMillis = 300;
    server.refreshMillis = 300;
    try (TokenSource source = builder().open()) {
      server.delayMillis = 300;
      server.lifeMillis = 60_000;
      server.refreshMillis = 50_000;
      eventually("its end", () -> source.peek().isEmpty());
      List<CompletableFuture<Token>> waiting = new ArrayList<>();
      for (int i = 0; i < 50; i++) {
        waiting.add(source.getAsync());
      }
      for (CompletableFuture<Token> each : waiting) {
        assertEquals(102, each.get(10, TimeUnit.SECONDS).generation());
      }
      assertEquals(2, server.gets.get());
    }
  }

  @Test
  void insideTheBackOffTheErrorComesAtOnce() throws Exception {
    server.lifeMillis = 300;
    server.refreshMillis = 100;
    server.failWatch = error(Status.Code.UNIMPLEMENTED, "", 0);
    try (TokenSource source = builder().open()) {
      server.failGet = error(Status.Code.RESOURCE_EXHAUSTED, "ISSUER_THROTTLED", 250_000);
      eventually("its end", () -> source.peek().isEmpty());
      assertThrows(TokenExpiredException.class, source::get);
      int calls = server.gets.get();
      TokenExpiredException error = assertThrows(TokenExpiredException.class, source::get);
      assertEquals(Duration.ofSeconds(250), error.retryAfter().orElseThrow());
      assertEquals("r-1", error.requestId());
      assertEquals(calls, server.gets.get());
    }
  }

  @Test
  void rejectBringsTheSuccessorWithOneReportAndOneFetch() {
    try (TokenSource source = builder().open()) {
      Token next = source.reject(source.get());
      assertEquals(102, next.generation());
      assertEquals(102, source.get().generation());
      assertEquals(1, server.rejects.get());
      assertEquals(2, server.gets.get());
    }
  }

  @Test
  void manyRejectsOfOneTokenMakeOneReport() throws Exception {
    try (TokenSource source = builder().open()) {
      Token token = source.get();
      List<CompletableFuture<Token>> waiting = new ArrayList<>();
      for (int i = 0; i < 50; i++) {
        waiting.add(source.rejectAsync(token));
      }
      for (CompletableFuture<Token> each : waiting) {
        assertEquals(102, each.get(10, TimeUnit.SECONDS).generation());
      }
      assertEquals(1, server.rejects.get());
      assertSame(source.get(), source.reject(token));
      assertEquals(1, server.rejects.get());
    }
  }

  @Test
  void aPushOfARejectedTokenIsIgnored() throws Exception {
    try (TokenSource source = builder().open()) {
      source.reject(source.get());
      eventually("a watch", () -> server.watches.get() >= 1);
      server.publish(101, 60_000, 50_000);
      assertEquals(102, source.get().generation());
    }
  }

  @Test
  void aRefusedReportLeavesTheTokenInUseAndBlocksTheNextReport() {
    server.failReject = error(Status.Code.RESOURCE_EXHAUSTED, "ROTATION_TOO_SOON", 60_000);
    try (TokenSource source = builder().open()) {
      Token token = source.get();
      UnavailableException first =
          assertThrows(UnavailableException.class, () -> source.reject(token));
      assertEquals("ROTATION_TOO_SOON", first.reason());
      assertEquals(Duration.ofSeconds(60), first.retryAfter().orElseThrow());
      assertSame(token, source.get());
      UnavailableException second =
          assertThrows(UnavailableException.class, () -> source.reject(token));
      assertEquals("ROTATION_TOO_SOON", second.reason());
      assertTrue(first != second);
      assertEquals(1, server.rejects.get());
    }
  }

  @Test
  void aFailedMintAfterARejectIsTheErrorAndNothingDeadIsServed() {
    try (TokenSource source = builder().open()) {
      Token token = source.get();
      server.failGet = error(Status.Code.FAILED_PRECONDITION, "ISSUER_REFUSED", 0);
      RefusedException error = assertThrows(RefusedException.class, () -> source.reject(token));
      assertEquals("e", error.issuerError());
      assertTrue(source.peek().isEmpty());
    }
  }

  @Test
  void aWaitEndsInTime() {
    server.silent = true;
    UnavailableException error =
        assertThrows(
            UnavailableException.class, () -> builder().timeout(Duration.ofMillis(300)).open());
    assertEquals(Status.Code.DEADLINE_EXCEEDED, error.code());
    server.silent = false;
    try (TokenSource source = builder().open()) {
      server.silent = true;
      Token token = source.get();
      UnavailableException late =
          assertThrows(
              UnavailableException.class, () -> source.reject(token, Duration.ofMillis(300)));
      assertEquals("DEADLINE_EXCEEDED", late.reason());
    }
  }

  @Test
  void anInterruptEndsTheWaitAsJavaDoes() throws Exception {
    try (TokenSource source = builder().open()) {
      Token token = source.get();
      server.silent = true;
      AtomicReference<Throwable> thrown = new AtomicReference<>();
      CountDownLatch interrupted = new CountDownLatch(1);
      Thread thread =
          new Thread(
              () -> {
                try {
                  source.reject(token);
                } catch (CancellationException e) {
                  thrown.set(e);
                  if (Thread.currentThread().isInterrupted()) {
                    interrupted.countDown();
                  }
                }
              });
      thread.start();
      eventually("a report", () -> server.rejects.get() == 1);
      thread.interrupt();
      assertTrue(interrupted.await(10, TimeUnit.SECONDS));
      assertInstanceOf(
          InterruptedException.class, Optional.ofNullable(thrown.get()).orElseThrow().getCause());
    }
  }

  @Test
  void aCancelledFutureIsCancelled() throws Exception {
    try (TokenSource source = builder().open()) {
      server.silent = true;
      CompletableFuture<Token> waiting = source.rejectAsync(source.get());
      eventually("a report", () -> server.rejects.get() == 1);
      assertTrue(waiting.cancel(true));
      assertThrows(CancellationException.class, waiting::get);
    }
  }

  @Test
  void theContextOfTheCallerDoesNotEndTheWork() throws Exception {
    Context.CancellableContext request = Context.current().withCancellation();
    TokenSource source = request.call(() -> builder().open());
    try (source) {
      eventually("a watch", () -> server.watches.get() == 1);
      Token first = source.get();
      request.cancel(null);
      assertTrue(server.watchesLast(200));
      server.publish(200, 60_000, 50_000);
      assertEquals(200, source.awaitUpdate(first, Duration.ofSeconds(10)).generation());
    }
  }

  @Test
  void theLifeIsCountedFromBeforeTheCall() {
    server.delayMillis = 500;
    server.edit =
        token ->
            token.setExpireTime(
                com.google.protobuf.Timestamp.newBuilder().setSeconds(Long.MAX_VALUE));
    try (TokenSource source = builder().open()) {
      Token token = source.get();
      assertTrue(token.remaining().compareTo(Duration.ofMillis(59_500)) <= 0, "" + token);
      assertEquals(java.time.Instant.MAX, token.expireTime());
    }
  }

  @Test
  void anUnknownOriginIsUnknown() {
    server.edit = token -> token.setOriginValue(99);
    try (TokenSource source = builder().open()) {
      assertEquals(Origin.UNKNOWN, source.get().origin());
    }
  }

  @Test
  void listenersGetEachNewToken() throws Exception {
    try (TokenSource source = builder().open()) {
      BlockingQueue<Long> told = new LinkedBlockingQueue<>();
      try (TokenSource.Subscription subscription =
          source.onUpdate(token -> told.add(token.generation()))) {
        eventually("a watch", () -> server.watches.get() == 1);
        server.publish(200, 60_000, 50_000);
        assertEquals(200, told.poll(10, TimeUnit.SECONDS));
        subscription.close();
        server.publish(201, 60_000, 50_000);
        eventually("the token", () -> source.get().generation() == 201);
        assertEquals(null, told.poll(50, TimeUnit.MILLISECONDS));
      }
    }
  }

  @Test
  void codeOfCallersThatBlocksDoesNotStopTheWork() throws Exception {
    try (TokenSource source = builder().open()) {
      Token first = source.get();
      CountDownLatch release = new CountDownLatch(1);
      CompletableFuture<?> dependent =
          source
              .rejectAsync(first)
              .thenAccept(
                  token -> {
                    try {
                      release.await();
                    } catch (InterruptedException e) {
                      Thread.currentThread().interrupt();
                    }
                  });
      eventually("the successor", () -> source.peek().isPresent());
      eventually("a watch", () -> server.watches.get() >= 1);
      server.publish(200, 60_000, 50_000);
      eventually("the push", () -> source.get().generation() == 200);
      release.countDown();
      dependent.get(10, TimeUnit.SECONDS);
    }
  }

  @Test
  void closeEndsTheWatchAndTheWaits() throws Exception {
    TokenSource source = builder().open();
    Token token = source.get();
    eventually("a watch", () -> server.watches.get() == 1);
    server.silent = true;
    CompletableFuture<Token> waiting = source.rejectAsync(token);
    eventually("a report", () -> server.rejects.get() == 1);
    source.close();
    source.close();
    ExecutionException ended =
        assertThrows(ExecutionException.class, () -> waiting.get(10, TimeUnit.SECONDS));
    assertInstanceOf(ClosedException.class, ended.getCause());
    assertTrue(server.awaitWatchEnd());
    assertThrows(ClosedException.class, source::get);
    assertThrows(ClosedException.class, source::token);
    assertThrows(ClosedException.class, source::peek);
    assertThrows(ClosedException.class, () -> source.reject(token));
    assertThrows(ClosedException.class, () -> source.onUpdate(each -> {}));
    assertThrows(ClosedException.class, () -> source.awaitUpdate(token, Duration.ofSeconds(1)));
  }

  @Test
  void aSharedClientStaysOpen() {
    try (TokenClient client =
        TokenClient.builder().environment(Map.of()).target(server.target()).build()) {
      TokenSource source = TokenSource.builder("billing").via(client).open();
      source.close();
      assertTrue(client.get(TokenKey.of("billing")).isLive());
      assertThrows(
          IllegalArgumentException.class,
          () -> TokenSource.builder("billing").via(client).plaintext().open());
    }
  }

  @Test
  void sourcesShareTheirThreads() {
    List<TokenSource> sources = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      sources.add(builder().open());
    }
    long ours =
        Thread.getAllStackTraces().keySet().stream()
            .filter(thread -> thread.getName().equals("mintonce"))
            .peek(thread -> assertTrue(thread.isDaemon()))
            .count();
    assertTrue(ours <= 2, "threads: " + ours);
    sources.forEach(TokenSource::close);
  }

  @Test
  void nothingThatPrintsShowsTheToken() {
    server.failReject = raw(Status.Code.UNKNOWN, null, true);
    try (TokenSource source = builder().open()) {
      Token token = source.get();
      MintonceException error = assertThrows(MintonceException.class, () -> source.reject(token));
      java.io.StringWriter trace = new java.io.StringWriter();
      error.printStackTrace(new java.io.PrintWriter(trace, true));
      String printed =
          token
              + String.format("%s", token)
              + source
              + Optional.of(token)
              + List.of(token)
              + new com.google.gson.Gson()
                  .newBuilder()
                  .registerTypeAdapter(
                      java.time.Instant.class,
                      (com.google.gson.JsonSerializer<java.time.Instant>)
                          (at, type, context) -> new com.google.gson.JsonPrimitive("" + at))
                  .create()
                  .toJson(token)
              + trace
              + error.remedy();
      assertFalse(printed.contains(ScriptedServer.SECRET), printed);
      assertFalse(printed.contains("as scripted"), printed);
    }
  }
}
