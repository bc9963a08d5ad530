package io.mintonce.testee;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.mintonce.ClosedException;
import io.mintonce.MintonceException;
import io.mintonce.RefusedException;
import io.mintonce.Token;
import io.mintonce.TokenExpiredException;
import io.mintonce.UnavailableException;
import io.mintonce.UnreachableException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.HexFormat;
import java.util.Locale;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import org.jspecify.annotations.Nullable;

/** Tokens and errors as the protocol writes them: never the text of a token. */
final class Outcomes {
  static final Gson JSON = new GsonBuilder().serializeNulls().create();
  private static final double NANOS_A_MILLI = 1e6;

  private Outcomes() {}

  /** Of {@code ok} and {@code error} one is null. {@code tokens}: what came before the error. */
  record Answer(
      @Nullable JsonElement ok, @Nullable JsonObject error, @Nullable JsonElement tokens) {}

  static JsonObject token(Token token) {
    JsonObject fields = new JsonObject();
    fields.addProperty("generation", token.generation());
    fields.addProperty("sha256", HexFormat.of().formatHex(token.fingerprint()));
    fields.addProperty("header_sha256", sha256(token.header()));
    fields.addProperty("live", token.isLive());
    fields.addProperty("remaining_ms", millis(token.remaining()));
    fields.addProperty("refresh_ms", millis(token.refreshIn()));
    fields.addProperty("degraded", token.isDegraded());
    fields.addProperty("origin", token.origin().name().toLowerCase(Locale.ROOT));
    fields.add("scopes", JSON.toJsonTree(token.scopes()));
    fields.addProperty("type", token.tokenType());
    return fields;
  }

  /** The error itself: adapters and futures wrap it in what their libraries expect. */
  static Throwable unwrapped(Throwable thrown) {
    Throwable error = thrown;
    while (!(error instanceof MintonceException || error instanceof CancellationException)
        && error.getCause() != null
        && (error instanceof ExecutionException
            || error.getCause() instanceof MintonceException
            || error.getCause() instanceof CancellationException)) {
      error = error.getCause();
    }
    return error;
  }

  static JsonObject error(Throwable error) {
    JsonObject fields = new JsonObject();
    fields.addProperty("class", name(error));
    fields.addProperty("message", String.valueOf(error.getMessage()));
    if (error instanceof MintonceException ours) {
      fields.addProperty("reason", ours.reason());
      fields.addProperty("remedy", ours.remedy());
      fields.addProperty("retry_after_ms", ours.retryAfter().map(Outcomes::millis).orElse(null));
      fields.addProperty("code", ours.code().name());
      fields.addProperty("issuer_error", ours.issuerError());
      fields.addProperty("request_id", ours.requestId());
      MintonceException cause = cause(ours);
      if (cause != null) {
        fields.add("cause", error(cause));
      }
    }
    return fields;
  }

  /** Of another kind: an error that was thrown once more has itself as its cause. */
  private static @Nullable MintonceException cause(MintonceException error) {
    Throwable cause = error.getCause();
    while (cause instanceof MintonceException ours) {
      if (ours.getClass() != error.getClass() || !ours.reason().equals(error.reason())) {
        return ours;
      }
      cause = cause.getCause();
    }
    return null;
  }

  private static String name(Throwable error) {
    if (error instanceof MintonceException) {
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
      return error instanceof ClosedException ? "Closed" : "Other";
    }
    if (error instanceof CancellationException || error instanceof InterruptedException) {
      return "Cancelled";
    }
    if (error instanceof UnsupportedOperationException) {
      return "Unsupported";
    }
    return error instanceof IllegalArgumentException ? "Usage" : "Testee";
  }

  private static double millis(Duration duration) {
    return duration.toNanos() / NANOS_A_MILLI;
  }

  private static String sha256(String text) {
    try {
      return HexFormat.of()
          .formatHex(
              MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
