package io.mintonce.testing;

import java.util.function.BooleanSupplier;

/** Waits for conditions. */
public final class Eventually {
  private static final long LIMIT_MILLIS = 15_000;
  private static final long EVERY_MILLIS = 5;

  private Eventually() {}

  /** Fails when it does not come true within seconds. */
  public static void eventually(String what, BooleanSupplier condition)
      throws InterruptedException {
    long end = System.nanoTime() + LIMIT_MILLIS * 1_000_000;
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() - end > 0) {
        throw new AssertionError("never: " + what);
      }
      Thread.sleep(EVERY_MILLIS);
    }
  }
}
