package io.mintonce;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.mintonce.MintonceException.Detail;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * gRPC's errors into ours: the one place that does it. Theirs are never the cause of ours: a stack
 * trace would print the peer's text as it came, with line ends and escapes. What of it helps is in
 * our message, made visible.
 */
final class Translator {
  private static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);
  private static final String DOMAIN = "mintonce";

  private static final Set<String> REFUSALS =
      Set.of(
          "INVALID_REQUEST",
          "UNKNOWN_CLIENT",
          "UNAUTHENTICATED",
          "PERMISSION_DENIED",
          "ISSUER_REFUSED");
  private static final Set<String> PASSING =
      Set.of(
          "ISSUER_THROTTLED",
          "ISSUER_UNAVAILABLE",
          "ISSUER_MALFORMED",
          "STORE_UNAVAILABLE",
          "ROTATION_TOO_SOON",
          "WAIT_TIMED_OUT",
          "DRAINING",
          "LIMIT_EXCEEDED",
          "AUDIT_UNAVAILABLE",
          "BUDGET_USED_UP");
  private static final Set<Status.Code> REFUSAL_CODES =
      EnumSet.of(
          Status.Code.INVALID_ARGUMENT,
          Status.Code.NOT_FOUND,
          Status.Code.UNAUTHENTICATED,
          Status.Code.PERMISSION_DENIED,
          Status.Code.FAILED_PRECONDITION);
  private static final Set<Status.Code> PASSING_CODES =
      EnumSet.of(
          Status.Code.UNAVAILABLE,
          Status.Code.RESOURCE_EXHAUSTED,
          Status.Code.DEADLINE_EXCEEDED,
          Status.Code.ABORTED);

  private static final int LONGEST_TEXT = 2000;
  private static final int LONGEST_NAME = 64;
  private static final double NANOS = 1e9;
  private static final String OTHER_PEER =
      "Is this target a mintonced, of a version that fits this client, and not a proxy in front of it?";

  private Translator() {}

  static MintonceException translate(StatusRuntimeException error, Link link) {
    Said said = said(error.getTrailers());
    return said.reason().isEmpty()
        ? unsaid(error.getStatus(), said, link)
        : said(error.getStatus(), said);
  }

  /**
   * What the server said about an error.
   *
   * @param reason "": nothing
   * @param retryAfter seconds; NaN: nothing
   */
  private record Said(String reason, Map<String, String> metadata, double retryAfter) {}

  /** What is absent, foreign or malformed counts as not said. */
  private static Said said(@Nullable Metadata trailers) {
    Said nothing = new Said("", Map.of(), Double.NaN);
    byte[] packed = trailers == null ? null : trailers.get(DETAILS);
    if (packed == null) {
      return nothing;
    }
    try {
      Said said = nothing;
      for (Any detail : com.google.rpc.Status.parseFrom(packed).getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          ErrorInfo info = detail.unpack(ErrorInfo.class);
          if (DOMAIN.equals(info.getDomain())) {
            said = new Said(info.getReason(), info.getMetadataMap(), said.retryAfter());
          }
        } else if (detail.is(RetryInfo.class)) {
          var delay = detail.unpack(RetryInfo.class).getRetryDelay();
          double seconds = delay.getSeconds() + delay.getNanos() / NANOS;
          said = new Said(said.reason(), said.metadata(), seconds);
        }
      }
      return said;
    } catch (InvalidProtocolBufferException e) {
      return nothing; // The sender does not use google.rpc. The status code still says what
      // matters.
    }
  }

  private static MintonceException said(Status status, Said said) {
    String description = status.getDescription();
    Detail detail =
        new Detail(
            Text.visible(
                description == null || description.isEmpty() ? said.reason() : description,
                LONGEST_TEXT),
            Text.visible(said.reason(), LONGEST_NAME),
            Text.visible(said.metadata().getOrDefault("remedy", ""), LONGEST_TEXT),
            said.retryAfter(),
            status.getCode(),
            Text.visible(said.metadata().getOrDefault("issuer_error", ""), LONGEST_TEXT),
            Text.visible(said.metadata().getOrDefault("request_id", ""), LONGEST_TEXT));
    if (REFUSALS.contains(said.reason())) {
      return new RefusedException(detail, null);
    }
    if (PASSING.contains(said.reason())) {
      return new UnavailableException(detail, null);
    }
    // INTERNAL is known, and neither. Of a reason that is newer than this client, the code says the
    // class.
    return said.reason().equals("INTERNAL") ? new MintonceException(detail, null) : byCode(detail);
  }

  /**
   * No reason came: gRPC itself failed, or something that is no mintonced answered. CANCELLED is
   * the other side's, too: our own callers' was dealt with before, and so was a closed client's.
   */
  private static MintonceException unsaid(Status status, Said said, Link link) {
    Status.Code code = status.getCode();
    String target = link.target();
    return switch (code) {
      case UNAVAILABLE -> {
        var found = Unreachable.explain(status, link);
        String message = "cannot reach mintonced at " + target + ": " + found.why();
        yield new UnreachableException(
            detail(message, "UNREACHABLE", found.remedy(), said, code), null);
      }
      case DEADLINE_EXCEEDED ->
          new UnavailableException(
              detail(
                  "no answer from " + target + " before the deadline",
                  code.name(),
                  "Allow more time, or look into the server's log: a mint may take up to 10 seconds.",
                  said,
                  code),
              null);
      case RESOURCE_EXHAUSTED ->
          // gRPC's own limits, on either side: message sizes, metadata, concurrent streams.
          new UnavailableException(
              detail(
                  target + " has no room for this call",
                  code.name(),
                  "Ask again later, and for less at once. If it goes on, look into the server's log and"
                      + " limits.",
                  said,
                  code),
              null);
      default ->
          // Without the text: a server's unexpected failure may quote anything.
          byCode(
              detail(
                  target + " answered " + code.name() + " without a reason",
                  code.name(),
                  remedy(code),
                  said,
                  code));
    };
  }

  private static MintonceException byCode(Detail detail) {
    if (REFUSAL_CODES.contains(detail.code())) {
      return new RefusedException(detail, null);
    }
    return PASSING_CODES.contains(detail.code())
        ? new UnavailableException(detail, null)
        : new MintonceException(detail, null);
  }

  private static Detail detail(
      String message, String reason, String remedy, Said said, Status.Code code) {
    return new Detail(message, reason, remedy, said.retryAfter(), code, "", "");
  }

  private static String remedy(Status.Code code) {
    return switch (code) {
      case UNAUTHENTICATED ->
          "Something on the way wants other credentials: see MINTONCE_CERTIFICATE_FILE,"
              + " MINTONCE_BEARER_FILE and MINTONCE_API_KEY_FILE. "
              + OTHER_PEER;
      case PERMISSION_DENIED -> "Something on the way refuses this caller. " + OTHER_PEER;
      default -> OTHER_PEER;
    };
  }
}
