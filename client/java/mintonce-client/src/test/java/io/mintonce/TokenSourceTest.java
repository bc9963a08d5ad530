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

import io.grpc.Status;
import io.mintonce.testing.ScriptedServer;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** Opening, reading, closing. */
class TokenSourceTest extends SourceFixture {
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
