package io.mintonce.testee;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.mintonce.ConnectionBuilder;
import io.mintonce.Tls;
import io.mintonce.TokenKey;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.function.Consumer;

/** The fields of a request. What is absent or null is not passed to the client. */
final class Arguments {
  private static final double NANOS_A_MILLI = 1e6;

  private final JsonObject fields;

  Arguments(JsonObject fields) {
    this.fields = fields;
  }

  boolean has(String name) {
    return fields.has(name) && !fields.get(name).isJsonNull();
  }

  String text(String name) {
    return has(name) ? fields.get(name).getAsString() : "";
  }

  long number(String name, long otherwise) {
    return has(name) ? fields.get(name).getAsLong() : otherwise;
  }

  JsonObject object(String name) {
    return fields.getAsJsonObject(name);
  }

  Optional<Duration> millis(String name) {
    return has(name)
        ? Optional.of(Duration.ofNanos((long) (fields.get(name).getAsDouble() * NANOS_A_MILLI)))
        : Optional.empty();
  }

  TokenKey key() {
    return TokenKey.of(text("client"), text("audience"), scopes());
  }

  String[] scopes() {
    return has("scopes")
        ? fields.getAsJsonArray("scopes").asList().stream()
            .map(JsonElement::getAsString)
            .toArray(String[]::new)
        : new String[0];
  }

  void connect(ConnectionBuilder<?> builder) {
    if (has("target")) {
      builder.target(text("target"));
    }
    if (has("tls")) {
      tls(builder, fields.get("tls"));
    }
    if (has("bearer_file")) {
      if (fields.getAsJsonPrimitive("bearer_file").isBoolean()) {
        builder.noBearer();
      } else {
        builder.bearerFile(Path.of(text("bearer_file")));
      }
    }
    if (has("api_key_file")) {
      builder.apiKeyFile(Path.of(text("api_key_file")));
    }
    millis("timeout_ms").ifPresent(builder::timeout);
  }

  private static void tls(ConnectionBuilder<?> builder, JsonElement given) {
    if (given.isJsonPrimitive()) {
      if (given.getAsBoolean()) {
        builder.tls(Tls.ofSystem());
      } else {
        builder.plaintext();
      }
      return;
    }
    Arguments files = new Arguments(given.getAsJsonObject());
    Tls.Builder tls = Tls.builder();
    files.path("ca_file", tls::caFile);
    files.path("certificate_file", tls::certificateFile);
    files.path("key_file", tls::keyFile);
    if (files.has("server_name")) {
      tls.serverName(files.text("server_name"));
    }
    builder.tls(tls.build());
  }

  private void path(String name, Consumer<Path> setter) {
    if (has(name)) {
      setter.accept(Path.of(text(name)));
    }
  }
}
