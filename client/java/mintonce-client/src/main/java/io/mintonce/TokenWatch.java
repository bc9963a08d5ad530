package io.mintonce;

import io.mintonce.TokenClient.WatchCall;
import io.mintonce.TokenClient.WatchListener;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.CancellationException;
import java.util.concurrent.LinkedBlockingQueue;
import org.jspecify.annotations.Nullable;

/**
 * A key's tokens as they come. {@link #hasNext()} waits for the next one; it is false after {@link
 * #close()}, which may come from another thread. One thread may iterate.
 */
public final class TokenWatch implements Iterator<Token>, AutoCloseable {
  private final LinkedBlockingQueue<Event> events = new LinkedBlockingQueue<>();
  private final WatchCall call;
  private @Nullable Event head;

  TokenWatch(TokenClient client, TokenKey key, @Nullable Duration limit) {
    call =
        client.watch(
            key,
            limit,
            new WatchListener() {
              @Override
              public void onToken(Token token) {
                events.add(new Event(token, null));
              }

              @Override
              public void onEnd(@Nullable Throwable error) {
                events.add(new Event(null, error));
              }
            });
  }

  /**
   * Waits for the next token.
   *
   * @throws MintonceException if the watch failed
   * @throws CancellationException if the thread is interrupted
   */
  @Override
  public boolean hasNext() {
    Event event = head();
    if (event.error instanceof MintonceException error) {
      throw error.again();
    }
    if (event.error instanceof CancellationException cancelled) {
      throw cancelled;
    }
    return event.token != null;
  }

  @Override
  public Token next() {
    Token token = hasNext() ? head().token : null;
    if (token == null) {
      throw new NoSuchElementException("the watch has ended");
    }
    head = null;
    return token;
  }

  /** Ends the watch at the server. */
  @Override
  public void close() {
    call.cancel();
  }

  /** The next token, or the end: which stays the next for good. */
  private Event head() {
    Event event = head;
    if (event == null) {
      try {
        event = events.take();
      } catch (InterruptedException e) {
        close();
        throw Futures.interrupted(e);
      }
      head = event;
    }
    return event;
  }

  /** A token, or the end: with an error, or without one. */
  private record Event(@Nullable Token token, @Nullable Throwable error) {}
}
