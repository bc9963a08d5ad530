package io.mintonce;

import static io.mintonce.testing.Eventually.eventually;
import static io.mintonce.testing.ScriptedServer.error;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** Reports of tokens that an API refused. */
class TokenSourceRejectTest extends SourceFixture {
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
}
