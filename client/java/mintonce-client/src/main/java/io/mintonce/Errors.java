package io.mintonce;

import io.grpc.Status;
import io.mintonce.MintonceException.Detail;
import org.jspecify.annotations.Nullable;

/** The errors that the client itself makes. */
final class Errors {
  private Errors() {}

  static ClosedException closed(String what) {
    return new ClosedException(
        Detail.of(
            "the " + what + " is closed",
            "CLOSED",
            "Keep the " + what + " open as long as it is used; close it last.",
            Status.Code.CANCELLED),
        null);
  }

  /** A wait has run out. */
  static UnavailableException noSuccessor() {
    return new UnavailableException(
        Detail.of(
            "no successor of the token came in time",
            "DEADLINE_EXCEEDED",
            "Allow more time, or look into the server's log.",
            Status.Code.DEADLINE_EXCEEDED),
        null);
  }

  /** Credentials cannot be used, or must not be. */
  static RefusedException credentials(String message, String remedy) {
    return new RefusedException(
        Detail.of(message, "CREDENTIALS", remedy, Status.Code.UNKNOWN), null);
  }

  /** A token that no header can hold. Nothing of it is shown. */
  static MintonceException unusableToken() {
    return new MintonceException(
        Detail.of(
            "the server sent a token that no header can hold",
            "INTERNAL",
            "Is this target a mintonced, of a version that fits this client?",
            Status.Code.UNKNOWN),
        null);
  }

  /** The server would refuse this, too. */
  static RefusedException invalid(String message, String remedy) {
    return new RefusedException(
        Detail.of(message, "INVALID_REQUEST", remedy, Status.Code.INVALID_ARGUMENT), null);
  }

  /** No token is live. The cause is the last error, whose fields it takes over. */
  static TokenExpiredException expired(@Nullable MintonceException last) {
    String why = last == null ? "it has not come yet" : last.detail().message();
    String remedy = last == null ? "" : last.remedy();
    return new TokenExpiredException(
        new Detail(
            "the token is over and there is no successor: " + why,
            "TOKEN_EXPIRED",
            remedy.isEmpty() ? "Try again in a moment: a successor is being asked for." : remedy,
            last == null ? Double.NaN : last.detail().retryAfter(),
            last == null ? Status.Code.UNAVAILABLE : last.code(),
            last == null ? "" : last.issuerError(),
            last == null ? "" : last.requestId()),
        last);
  }
}
