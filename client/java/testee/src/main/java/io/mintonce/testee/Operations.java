package io.mintonce.testee;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.mintonce.ConnectionBuilder;
import io.mintonce.MintonceException;
import io.mintonce.Tls;
import io.mintonce.Token;
import io.mintonce.TokenClient;
import io.mintonce.TokenKey;
import io.mintonce.TokenSource;
import io.mintonce.TokenWatch;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/** What the suite can ask for. */
final class Operations {
  private static final long DEFAULT_TIMEOUT_MILLIS = 10_000;

  private final Map<String, TokenSource> sources = new ConcurrentHashMap<>();
  private final Map<String, TokenClient> clients = new ConcurrentHashMap<>();
  private final Map<String, Map<Long, Token>> seen = new ConcurrentHashMap<>();

  Object run(JsonObject request) throws Exception {
    String operation = request.get("op").getAsString();
    return switch (operation) {
      case "hello" -> hello();
      case "open" -> open(request);
      case "get" -> token(request, source(request).get(timeout(request)));
      case "token" -> token(request, source(request).token());
      case "reject" -> token(request, source(request).reject(refused(request), timeout(request)));
      case "updates" -> updates(request);
      case "close" -> close(request);
      case "client_open" -> clientOpen(request);
      case "client_close" -> clientClose(request);
      case "client_get" -> Outcomes.token(client(request).get(key(request)));
      case "client_watch" -> clientWatch(request);
      case "client_reject" -> clientReject(request);
      case "client_list" -> Map.of("tokens", client(request).listTokens("", 0, "").tokens().size());
      case "client_rotate" -> {
        var rotation = client(request).rotate(key(request));
        yield Map.of(
            "previous_generation",
            rotation.previousGeneration(),
            "generation",
            rotation.generation());
      }
      case "print" -> print(request);
      case "burst" -> burst(request);
      case "http" -> Http.call(source(request), request);
      case "grpc_call" -> GrpcCall.call(source(request), request);
      default -> throw new IllegalArgumentException("unknown op: " + operation);
    };
  }

  void closeAll() {
    sources.values().forEach(TokenSource::close);
    clients.values().forEach(TokenClient::close);
  }

  private static Map<String, Object> hello() {
    return Map.of(
        "language",
        "java",
        "version",
        "0.1.0",
        "features",
        List.of(
            "retry",
            "unix",
            "rotate",
            "list",
            "http:java.net.http",
            "http:java.net.http-async",
            "http:okhttp",
            "http:spring-rest",
            "http:spring-web",
            "http:google-auth",
            "grpc:call-credentials"));
  }

  private Object open(JsonObject request) {
    TokenSource.Builder builder =
        TokenSource.builder(text(request, "client", ""))
            .audience(text(request, "audience", ""))
            .scopes(scopes(request));
    String via = text(request, "via", "");
    if (via.isEmpty()) {
      connect(builder, request);
    } else {
      builder.via(client(request));
    }
    builder.timeout(timeout(request));
    if (has(request, "wait_for_server_ms")) {
      builder.waitForServer(Duration.ofMillis(request.get("wait_for_server_ms").getAsLong()));
    }
    TokenSource source = builder.open();
    sources.put(text(request, "source", ""), source);
    return token(request, source.token());
  }

  private Object close(JsonObject request) {
    TokenSource source = sources.get(text(request, "source", ""));
    if (source != null) {
      source.close();
    }
    return Map.of();
  }

  private Object updates(JsonObject request) {
    TokenSource source = source(request);
    int count = number(request, "n", 1);
    List<Object> tokens = new ArrayList<>();
    Token last = source.get();
    if (has(request, "than")) {
      last = Optional.ofNullable(seen(request).get(request.get("than").getAsLong())).orElse(last);
    }
    while (tokens.size() < count) {
      last = source.awaitUpdate(last, timeout(request));
      tokens.add(token(request, last));
    }
    return Map.of("tokens", tokens);
  }

  private Object clientOpen(JsonObject request) {
    clients.put(text(request, "via", text(request, "name", "")), newClient(request));
    return Map.of();
  }

  private Object clientClose(JsonObject request) {
    client(request).close();
    return Map.of();
  }

  private Object clientWatch(JsonObject request) {
    List<Object> tokens = new ArrayList<>();
    try (TokenWatch watch = client(request).watch(key(request))) {
      while (tokens.size() < number(request, "n", 1) && watch.hasNext()) {
        tokens.add(Outcomes.token(watch.next()));
      }
    }
    return Map.of("tokens", tokens);
  }

  private Object clientReject(JsonObject request) {
    TokenClient client = client(request);
    if (has(request, "generation")) {
      return Map.of(
          "was_current", client.reject(key(request), request.get("generation").getAsLong()));
    }
    byte[] hash = HexFormat.of().parseHex(text(request, "sha256", ""));
    return Map.of("was_current", client.reject(key(request), hash));
  }

  /** All that could end up in a log. */
  private Object print(JsonObject request) {
    TokenSource source = source(request);
    List<String> printed = new ArrayList<>();
    printed.add(source.toString());
    source
        .peek()
        .ifPresent(
            token -> {
              printed.add(token.toString());
              printed.add(String.format("%s", token));
              printed.add(List.of(token).toString());
              printed.add(Outcomes.token(token).toString());
            });
    try {
      source.reject(source.token());
    } catch (MintonceException e) {
      StringWriter trace = new StringWriter();
      e.printStackTrace(new PrintWriter(trace, true));
      printed.add(trace.toString());
      printed.add(e.getMessage() + e.remedy());
    }
    return Map.of("printed", printed);
  }

  private Object burst(JsonObject request) {
    TokenSource source = source(request);
    JsonElement inner = request.get("of");
    String operation =
        inner != null && inner.isJsonPrimitive()
            ? inner.getAsString()
            : text(request, "call", "get");
    Token refused = operation.equals("reject") ? refused(request) : null;
    List<CompletableFuture<Token>> calls = new ArrayList<>();
    for (int i = 0; i < number(request, "n", 1); i++) {
      calls.add(refused == null ? source.getAsync() : source.rejectAsync(refused));
    }
    List<Object> results = new ArrayList<>();
    for (CompletableFuture<Token> call : calls) {
      try {
        results.add(Map.of("ok", token(request, call.get())));
      } catch (Exception e) {
        results.add(Map.of("error", Outcomes.error(e)));
      }
    }
    return Map.of("results", results);
  }

  private TokenSource source(JsonObject request) {
    TokenSource source = sources.get(text(request, "source", ""));
    if (source == null) {
      throw new IllegalArgumentException("no such source");
    }
    return source;
  }

  private TokenClient client(JsonObject request) {
    TokenClient known = clients.get(text(request, "via", ""));
    TokenClient client = known != null ? known : newClient(request);
    if (known == null) {
      clients.put("own-" + clients.size(), client);
    }
    return client;
  }

  private static TokenClient newClient(JsonObject request) {
    TokenClient.Builder builder = TokenClient.builder();
    connect(builder, request);
    return builder.timeout(timeout(request)).build();
  }

  /** The token of the generation that is named, else the current one. */
  private Token refused(JsonObject request) {
    TokenSource source = source(request);
    if (has(request, "generation")) {
      Token known = seen(request).get(request.get("generation").getAsLong());
      if (known != null) {
        return known;
      }
    }
    return source.token();
  }

  private Object token(JsonObject request, Token token) {
    seen(request).put(token.generation(), token);
    return Outcomes.token(token);
  }

  private Map<Long, Token> seen(JsonObject request) {
    return seen.computeIfAbsent(text(request, "source", ""), name -> new ConcurrentHashMap<>());
  }

  private static void connect(ConnectionBuilder<?> builder, JsonObject request) {
    if (has(request, "target")) {
      builder.target(request.get("target").getAsString());
    }
    JsonElement tls = request.get("tls");
    if (tls != null && tls.isJsonObject()) {
      builder.tls(tls(tls.getAsJsonObject()));
    } else if (tls != null && tls.isJsonPrimitive()) {
      if (tls.getAsBoolean()) {
        builder.tls(Tls.ofSystem());
      } else {
        builder.plaintext();
      }
    }
    if (has(request, "bearer_file")) {
      JsonElement file = request.get("bearer_file");
      if (file.getAsJsonPrimitive().isBoolean()) {
        builder.noBearer();
      } else {
        builder.bearerFile(Path.of(file.getAsString()));
      }
    }
    if (has(request, "api_key_file")) {
      builder.apiKeyFile(Path.of(request.get("api_key_file").getAsString()));
    }
  }

  private static Tls tls(JsonObject tls) {
    Tls.Builder builder = Tls.builder();
    Optional.ofNullable(path(tls, "ca_file")).ifPresent(builder::caFile);
    Optional.ofNullable(path(tls, "certificate_file")).ifPresent(builder::certificateFile);
    Optional.ofNullable(path(tls, "key_file")).ifPresent(builder::keyFile);
    if (has(tls, "server_name")) {
      builder.serverName(tls.get("server_name").getAsString());
    }
    return builder.build();
  }

  private static TokenKey key(JsonObject request) {
    return TokenKey.of(text(request, "client", ""), text(request, "audience", ""), scopes(request));
  }

  private static String[] scopes(JsonObject request) {
    JsonElement scopes = request.get("scopes");
    if (scopes == null || scopes.isJsonNull()) {
      return new String[0];
    }
    if (scopes.isJsonPrimitive()) {
      return new String[] {scopes.getAsString()};
    }
    JsonArray all = scopes.getAsJsonArray();
    return all.asList().stream().map(JsonElement::getAsString).toArray(String[]::new);
  }

  private static @Nullable Path path(JsonObject from, String name) {
    return has(from, name) ? Path.of(from.get(name).getAsString()) : null;
  }

  private static Duration timeout(JsonObject request) {
    return Duration.ofMillis(
        has(request, "timeout_ms")
            ? request.get("timeout_ms").getAsLong()
            : DEFAULT_TIMEOUT_MILLIS);
  }

  static String text(JsonObject from, String name, String otherwise) {
    return has(from, name) ? from.get(name).getAsString() : otherwise;
  }

  static int number(JsonObject from, String name, int otherwise) {
    return has(from, name) ? from.get(name).getAsInt() : otherwise;
  }

  private static boolean has(JsonObject from, String name) {
    return from.has(name) && !from.get(name).isJsonNull();
  }
}
