package io.mintonce;

import java.util.concurrent.Future;

/**
 * A token as reads find it. To look at the clock costs several times as much as all else: far from
 * the end a read does without it, until an alarm goes off, which may be late by {@link #CLOSE} and
 * no harm done.
 */
final class Snapshot {
  /**
   * Seconds before the end from which each read looks at the clock; half the life if that is less.
   */
  private static final double CLOSE = 30;

  private final Token token;
  private final Future<?> alarm;
  private volatile boolean farFromEnd;

  Snapshot(Token token) {
    this.token = token;
    double remaining = token.expiresAt() - Clock.now();
    farFromEnd = remaining > 0;
    alarm = Background.after(remaining - Math.min(CLOSE, remaining / 2), () -> farFromEnd = false);
  }

  Token token() {
    return token;
  }

  boolean isLive() {
    return farFromEnd || token.isLive();
  }

  /** Nobody reads it any more. */
  void release() {
    alarm.cancel(false);
  }
}
