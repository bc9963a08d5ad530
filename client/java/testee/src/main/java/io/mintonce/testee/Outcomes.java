package io.mintonce.testee;

import io.mintonce.ClosedException;
import io.mintonce.MintonceException;
import io.mintonce.RefusedException;
import io.mintonce.Token;
import io.mintonce.TokenExpiredException;
import io.mintonce.UnavailableException;
import io.mintonce.UnreachableException;
import java.time.Duration;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import org.jspecify.annotations.Nullable;

/** Tokens and errors as the protocol writes them: never the text of a token. */
final class Outcomes {
  private Outcomes() {}

  static Map<String, Object> token(Token token) {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("sha256", HexFormat.of().formatHex(token.fingerprint()));
    fields.put("generation", token.generation());
    fields.put("live", token.isLive());
    fields.put("remaining_ms", token.remaining().toMillis());
    fields.put("refresh_ms", token.refreshIn().toMillis());
    fields.put("degraded", token.isDegraded());
    fields.put("origin", token.origin().name().toLowerCase(java.util.Locale.ROOT));
    fields.put("token_type", token.tokenType());
    fields.put("scopes", token.scopes());
    fields.put("header_scheme", token.header().substring(0, token.header().indexOf(' ')));
    return fields;
  }

  static Map<String, @Nullable Object> error(Throwable thrown) {
    Throwable error =
        thrown instanceof ExecutionException && thrown.getCause() != null
            ? thrown.getCause()
            : thrown;
    // Adapters wrap ours in what their libraries expect.
    if (!(error instanceof MintonceException) && error.getCause() instanceof MintonceException) {
      error = error.getCause();
    }
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    fields.put("class", name(error));
    fields.put("message", error.getMessage());
    if (error instanceof MintonceException ours) {
      fields.put("reason", ours.reason());
      fields.put("retry_after_ms", ours.retryAfter().map(Duration::toMillis).orElse(null));
      fields.put("code", ours.code().name());
      fields.put("remedy", ours.remedy());
      fields.put("issuer_error", ours.issuerError());
      fields.put("request_id", ours.requestId());
      fields.put("cause", ours.getCause() instanceof MintonceException cause ? error(cause) : null);
    }
    return fields;
  }

  private static String name(Throwable error) {
    if (error instanceof RefusedException) {
      return "Refused";
    }
    if (error instanceof UnreachableException) {
      return "Unreachable";
    }
    if (error instanceof TokenExpiredException) {
      return "TokenExpired";
    }
    if (error instanceof UnavailableException) {
      return "Unavailable";
    }
    if (error instanceof ClosedException) {
      return "Closed";
    }
    if (error instanceof CancellationException || error instanceof InterruptedException) {
      return "Cancelled";
    }
    return error instanceof IllegalArgumentException ? "Usage" : "Other";
  }
}
