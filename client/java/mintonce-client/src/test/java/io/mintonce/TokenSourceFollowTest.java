package io.mintonce;

import static io.mintonce.testing.Eventually.eventually;
import static io.mintonce.testing.ScriptedServer.error;
import static io.mintonce.testing.ScriptedServer.raw;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Context;
import io.grpc.Status;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** How a source comes by successors, and what it does without one. */
class TokenSourceFollowTest extends SourceFixture {
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

  /** As after a stop of the process (SIGSTOP): callers read before anything else has run. */
  @Test
  void aTokenThatIsOverIsNotServedWhileTheWorkStandsStill() throws Exception {
    server.lifeMillis = 1500;
    server.refreshMillis = 1500;
    CountDownLatch standing = new CountDownLatch(2);
    CountDownLatch release = new CountDownLatch(1);
    try (TokenSource source = builder().open()) {
      Token token = source.get();
      for (int i = 0; i < 2; i++) {
        Background.run(
            () -> {
              standing.countDown();
              try {
                release.await();
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            });
      }
      assertTrue(standing.await(10, TimeUnit.SECONDS));
      eventually("its end", () -> !token.isLive());
      assertEquals(Optional.empty(), source.peek());
      assertThrows(TokenExpiredException.class, source::token);
      assertFalse(source.getAsync().isDone());
    } finally {
      release.countDown();
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
      eventually("a watch", () -> server.watching() == 1);
      server.endWatches(error(Status.Code.UNAVAILABLE, "DRAINING", 0));
      eventually("another watch", () -> server.watches.get() >= 2);
      assertEquals(101, source.get().generation());
      assertEquals(1, server.gets.get());
    }
  }

  @Test
  void callsThatTheServerCancelsAreMadeAgain() throws Exception {
    server.lifeMillis = 800;
    server.refreshMillis = 800;
    try (TokenSource source = builder().open()) {
      eventually("a watch", () -> server.watching() == 1);
      server.failGet = raw(Status.Code.CANCELLED, null, true);
      server.failWatch = raw(Status.Code.CANCELLED, null, true);
      server.endWatches(raw(Status.Code.CANCELLED, null, true));
      eventually("its end", () -> source.peek().isEmpty());
      eventually(
          "a cause",
          () ->
              assertThrows(TokenExpiredException.class, source::token).getCause()
                      instanceof MintonceException cause
                  && cause.reason().equals("CANCELLED"));
      server.failGet = null;
      server.failWatch = null;
      eventually("a token", () -> source.peek().isPresent());
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
}
