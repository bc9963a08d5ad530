package io.mintonce;

import io.grpc.Status;
import java.util.function.DoubleSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Holds the newest token and decides what to do for its successor. No I/O, no threads, no clock:
 * {@link TokenSource} does what it says. Not thread-safe.
 *
 * <p>All times are seconds; {@code now} and {@code …At} are on one monotonic clock. Every client of
 * Mintonce decides alike: the vectors in {@code conformance/follower} hold them to it.
 */
final class Follower {
  private static final double BACKOFF_BASE = 0.5;
  private static final double BACKOFF_MAX = 30;

  /** What a watch has after the refresh time to push the successor, before a fetch. */
  private static final double GRACE_MAX = 10;

  /**
   * A watch is replaced after this at the latest, so that dead connections and uneven load do not
   * stay.
   */
  private static final double WATCH_MAX = 1800;

  /** A watch that lasted this long was not a failure. */
  private static final double WATCH_PROVEN = 30;

  /** Until the next try at a server without WatchToken: it may have been replaced. */
  private static final double WATCH_UNIMPLEMENTED = 600;

  /** When a fetch brought nothing newer: ask again after this share of the remaining life. */
  private static final double PAUSE_SHARE = 0.1;

  private static final double PAUSE_MIN = 0.2;
  private static final double PAUSE_MAX = 60;
  private static final double RETRY_AFTER_MAX = 300;

  /** A watch may end this much before its limit and still count as at its limit. */
  private static final double LIMIT_SLACK = 0.1;

  private final DoubleSupplier jitter;
  private @Nullable Token token;
  private @Nullable MintonceException lastError;
  private @Nullable MintonceException reportError;
  private long setbacks;
  private long reportSetbacks;
  private double fetchAt;
  private int fetchFailures;
  private double watchAt;
  private int watchFailures;
  private long wantedReport;
  private long rejected;
  private double blockedUntil;

  /** {@code jitter}: uniform in [0, 1). */
  Follower(Token token, double now, DoubleSupplier jitter) {
    this.jitter = jitter;
    this.token = token;
    this.fetchAt = due(token, now);
    this.watchAt = now;
  }

  Step next(double now) {
    if (wantedReport > rejected) {
      return new Step.Report(wantedReport);
    }
    if (now >= fetchAt) {
      return new Step.Fetch();
    }
    if (now >= watchAt) {
      double limit = WATCH_MAX * (0.5 + jitter.getAsDouble() / 2);
      return new Step.Watch(Math.min(fetchAt - now, limit));
    }
    return new Step.Pause(Math.min(fetchAt, watchAt) - now);
  }

  /** The newest token, live or not; null once it is known to be rejected. */
  @Nullable Token token() {
    return token;
  }

  /** The token, if it may be used. */
  @Nullable Token live(double now) {
    Token held = token;
    return held != null && now < held.expiresAt() ? held : null;
  }

  /** The token, if it may be used and is newer than the generation. */
  @Nullable Token successor(long generation, double now) {
    Token live = live(now);
    return live != null && live.generation() > generation ? live : null;
  }

  /** A token came. True: it is the newest now. */
  boolean offer(Token offered, double now) {
    if (!accepts(offered, now)) {
      return false;
    }
    token = offered;
    lastError = null;
    blockedUntil = 0;
    fetchAt = due(offered, now);
    return true;
  }

  /** GetToken answered. As {@link #offer}; when it brought nothing newer, the next one waits. */
  boolean fetched(Token offered, double now) {
    fetchFailures = 0;
    lastError = null;
    boolean accepted = offer(offered, now);
    if (!accepted) {
      fetchAt = now + pause(now);
    }
    return accepted;
  }

  void fetchFailed(MintonceException error, double now) {
    lastError = error;
    setbacks++;
    if (token == null) {
      reportSetbacks++;
      reportError = error;
    }
    fetchFailures++;
    fetchAt = now + backoff(fetchFailures, error, jitter);
  }

  /**
   * A watch is over: at its limit, by an error, or (null) because it was cancelled or ended well.
   */
  void watchEnded(@Nullable MintonceException error, double startedAt, double limit, double now) {
    boolean atLimit = now >= startedAt + limit - LIMIT_SLACK;
    if (error == null) {
      watchAt = now + backoff(1, null, jitter);
    } else if (atLimit && error.code() == Status.Code.DEADLINE_EXCEEDED) {
      watchFailures = 0;
      watchAt = now;
    } else if (error.code() == Status.Code.UNIMPLEMENTED) {
      watchAt = now + WATCH_UNIMPLEMENTED;
    } else {
      lastError = error;
      watchFailures = now - startedAt >= WATCH_PROVEN ? 1 : watchFailures + 1;
      watchAt = now + backoff(watchFailures, error, jitter);
    }
  }

  /**
   * An API refused the token of this generation. Throws the last error while a report must wait.
   */
  void wantReport(long generation, double now) {
    MintonceException last = reportError;
    if (last != null && (now < blockedUntil || isFailing(now))) {
      throw last.again();
    }
    if (generation > rejected) {
      wantedReport = Math.max(wantedReport, generation);
    }
  }

  /**
   * The server has accepted the report of this generation and serves it no more. It mints at the
   * next fetch. A higher one that was refused meanwhile is reported next.
   */
  void reported(long generation, double now) {
    rejected = Math.max(rejected, generation);
    Token held = token;
    if (held != null && held.generation() <= rejected) {
      token = null;
      fetchFailures = 0;
      fetchAt = now;
    }
  }

  /** The token stays in use: the server may have good reason, such as too many rotations. */
  void reportFailed(MintonceException error, double now) {
    lastError = error;
    reportError = error;
    reportSetbacks++;
    wantedReport = 0;
    blockedUntil = now + backoff(1, error, jitter);
  }

  /**
   * A caller waits for a live token. Throws TokenExpiredException while the next fetch must wait.
   */
  void hurry(double now) {
    if (isFailing(now)) {
      throw expired();
    }
    if (fetchFailures == 0 && token != null) {
      fetchAt = Math.min(fetchAt, now);
    }
  }

  /** The error when no token is live. Its cause is the last error. */
  TokenExpiredException expired() {
    return Errors.expired(lastError);
  }

  /** The number of failed fetches. A caller that waits for a token gives up when it rises. */
  long setbacks() {
    return setbacks;
  }

  /** As {@link #setbacks}, for reports and for the fetches after one. */
  long reportSetbacks() {
    return reportSetbacks;
  }

  /** What {@link #reportSetbacks} counted last. */
  @Nullable MintonceException reportError() {
    return reportError;
  }

  /** Seconds to wait after so many failures: full jitter, on top of what the server asked for. */
  static double backoff(int failures, @Nullable MintonceException error, DoubleSupplier jitter) {
    double asked = error == null ? 0 : Math.min(error.retryAfterSeconds(), RETRY_AFTER_MAX);
    return asked
        + jitter.getAsDouble() * Math.min(BACKOFF_MAX, BACKOFF_BASE * Math.pow(2, failures));
  }

  private boolean accepts(Token offered, double now) {
    if (offered.generation() <= rejected || now >= offered.expiresAt()) {
      return false;
    }
    // A lower generation counts only when nothing else lives: the store has lost its history then.
    Token live = live(now);
    return live == null || offered.generation() > live.generation();
  }

  private boolean isFailing(double now) {
    return live(now) == null && fetchFailures > 0 && now < fetchAt;
  }

  /**
   * When to fetch if no watch has pushed the successor: a little after the refresh time, spread.
   */
  private double due(Token due, double now) {
    double refreshAt = Math.max(due.refreshAt(), now);
    double grace = Math.min(GRACE_MAX, Math.max(0, due.expiresAt() - refreshAt) / 2);
    return refreshAt + grace * (0.5 + jitter.getAsDouble() / 2);
  }

  private double pause(double now) {
    Token live = live(now);
    double remaining = live == null ? 0 : live.expiresAt() - now;
    return Math.min(PAUSE_MAX, Math.max(PAUSE_MIN, PAUSE_SHARE * remaining));
  }

  /** What the vectors compare, for tests. */
  State state() {
    return new State(
        lastError,
        fetchAt,
        watchAt,
        fetchFailures,
        watchFailures,
        wantedReport,
        rejected,
        blockedUntil);
  }

  record State(
      @Nullable MintonceException lastError,
      double fetchAt,
      double watchAt,
      int fetchFailures,
      int watchFailures,
      long wantedReport,
      long rejected,
      double blockedUntil) {}
}
