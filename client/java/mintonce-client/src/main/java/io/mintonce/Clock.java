package io.mintonce;

import java.time.Duration;

/** The monotonic clock, in seconds since this class was loaded. Nothing else in here reads time. */
final class Clock {
  private static final long ORIGIN = System.nanoTime();
  private static final double NANOS = 1e9;

  /** Seconds, about 120 years: longer lives do not fit the arithmetic of {@code nanoTime}. */
  private static final double FAR = 4e9;

  private Clock() {}

  static double now() {
    return (System.nanoTime() - ORIGIN) / NANOS;
  }

  /** The value of {@code System.nanoTime()} at a time of this clock; never later than it. */
  static long nanoTimeAt(double seconds) {
    return ORIGIN + (long) Math.floor(Math.max(-FAR, Math.min(FAR, seconds)) * NANOS);
  }

  static double seconds(Duration duration) {
    return duration.getSeconds() + duration.getNano() / NANOS;
  }

  static Duration duration(double seconds) {
    return Duration.ofNanos((long) (Math.max(-FAR, Math.min(FAR, seconds)) * NANOS));
  }

  static long nanos(double seconds) {
    return (long) (Math.max(0, Math.min(FAR, seconds)) * NANOS);
  }
}
