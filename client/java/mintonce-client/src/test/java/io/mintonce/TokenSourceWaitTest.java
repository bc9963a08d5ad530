package io.mintonce;

import static io.mintonce.testing.Eventually.eventually;
import static io.mintonce.testing.ScriptedServer.error;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

/** Callers that wait, and callers that listen. */
class TokenSourceWaitTest extends SourceFixture {
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
  void anExecutorThatRefusesDoesNotStopTheWork() throws Exception {
    Executor refuses =
        task -> {
          throw new RejectedExecutionException("shut down");
        };
    try (TokenSource source = builder().executor(refuses).open();
        TokenSource.Subscription subscription = source.onUpdate(token -> {})) {
      eventually("a watch", () -> server.watches.get() == 1);
      source.reject(source.get());
      eventually("the next watch", () -> server.watches.get() == 2);
      server.publish(200, 60_000, 50_000);
      eventually("the push", () -> source.peek().orElseThrow().generation() == 200);
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
}
