package io.mintonce;

import io.grpc.Status;
import java.io.Serializable;
import java.time.Duration;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The root of what can go wrong. Two questions matter: may a retry help, and what can a person do?
 *
 * <p>Neither the message nor the remedy ever holds a token or the content of a file. {@link
 * #toString()}, and so every stack trace, shows the reason and the remedy, too. gRPC's exception is
 * not among the causes: its text is the peer's, and may hold anything.
 *
 * <p>Wrong arguments are not among these: they are {@link IllegalArgumentException}. A wait that is
 * interrupted or cancelled ends with {@link java.util.concurrent.CancellationException}.
 */
public class MintonceException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final Detail detail;

  MintonceException(Detail detail, @Nullable Throwable cause) {
    super(detail.message(), cause);
    this.detail = detail;
  }

  /** What went wrong. Never holds a token. */
  @Override
  public String getMessage() {
    return detail.message();
  }

  /**
   * Why: a value of {@code ErrorReason} of the API without its prefix, such as "UNKNOWN_CLIENT";
   * one of the client's own, which are UNREACHABLE, DEADLINE_EXCEEDED, TOKEN_EXPIRED, CLOSED and
   * CREDENTIALS (they cannot be used, or must not be sent to that target); or the name of a gRPC
   * status.
   */
  public String reason() {
    return detail.reason();
  }

  /** What a person can do about it, a sentence. May be "". */
  public String remedy() {
    return detail.remedy();
  }

  /** The time after which a later try may succeed, if the server said one. */
  public Optional<Duration> retryAfter() {
    return Double.isNaN(detail.retryAfter())
        ? Optional.empty()
        : Optional.of(Clock.duration(detail.retryAfter()));
  }

  /** The gRPC status. */
  public Status.Code code() {
    return detail.code();
  }

  /** The issuer's own error code (RFC 6749, section 5.2); "" if it gave none. */
  public String issuerError() {
    return detail.issuerError();
  }

  /** Finds the call in the server's log; "" if the server gave none. */
  public String requestId() {
    return detail.requestId();
  }

  // Not in getMessage(): programs that show both would show the remedy twice.
  @Override
  @SuppressWarnings("OverrideThrowableToString")
  public String toString() {
    String remedy = detail.remedy().isEmpty() ? "" : ". " + detail.remedy();
    return getClass().getName() + ": " + detail.message() + " (" + detail.reason() + ")" + remedy;
  }

  /** Seconds; 0 if the server said none. */
  double retryAfterSeconds() {
    return Double.isNaN(detail.retryAfter()) ? 0 : detail.retryAfter();
  }

  Detail detail() {
    return detail;
  }

  /** A copy for one more caller: an object thrown to two would mix up their stack traces. */
  MintonceException again() {
    return new MintonceException(detail, this);
  }

  /**
   * What an error says.
   *
   * @param retryAfter seconds; NaN for none
   */
  record Detail(
      String message,
      String reason,
      String remedy,
      double retryAfter,
      Status.Code code,
      String issuerError,
      String requestId)
      implements Serializable {
    static Detail of(String message, String reason, String remedy, Status.Code code) {
      return new Detail(message, reason, remedy, Double.NaN, code, "", "");
    }
  }
}
