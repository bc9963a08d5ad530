package io.mintonce.testee;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.mintonce.Token;
import io.mintonce.TokenClient;
import io.mintonce.TokenPage;
import io.mintonce.TokenSource;
import io.mintonce.TokenWatch;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.jspecify.annotations.Nullable;

/** What the suite can ask for. */
final class Operations {
  private static final Duration DEFAULT_TIMEOUT = Duration.ofSeconds(10);

  private final Map<String, TokenSource> sources = new ConcurrentHashMap<>();
  private final Map<String, TokenClient> clients = new ConcurrentHashMap<>();
  private final Map<Long, Token> answered = new ConcurrentHashMap<>();
  private final Warnings warnings;
  private volatile @Nullable Throwable lastError;

  Operations(Warnings warnings) {
    this.warnings = warnings;
  }

  Outcomes.Answer answer(JsonObject request) {
    JsonArray tokens = new JsonArray();
    try {
      return new Outcomes.Answer(run(request, tokens), null, null);
    } catch (Throwable e) {
      Throwable error = Outcomes.unwrapped(e);
      lastError = error;
      return new Outcomes.Answer(null, Outcomes.error(error), tokens.isEmpty() ? null : tokens);
    }
  }

  void closeAll() {
    sources.values().forEach(TokenSource::close);
    clients.values().forEach(TokenClient::close);
  }

  private JsonElement run(JsonObject request, JsonArray tokens) throws Exception {
    Arguments arguments = new Arguments(request);
    return switch (arguments.text("op")) {
      case "hello" -> hello();
      case "open" -> open(arguments);
      case "token" -> read(arguments);
      case "get" -> token(get(arguments));
      case "reject" -> token(reject(arguments));
      case "updated" -> token(updated(arguments));
      case "close" -> close(arguments);
      case "client_open" -> clientOpen(arguments);
      case "client_get" -> token(clientGet(arguments));
      case "client_watch" -> clientWatch(arguments, tokens);
      case "client_reject" -> clientReject(arguments);
      case "client_rotate" -> {
        var rotation = client(arguments).rotate(arguments.key());
        yield json(
            Map.of(
                "previous_generation",
                rotation.previousGeneration(),
                "generation",
                rotation.generation()));
      }
      case "client_list" -> list(arguments);
      case "print" ->
          json(
              Map.of(
                  "texts", Prints.of(source(arguments), List.copyOf(clients.values()), lastError)));
      case "logs" -> json(Map.of("warnings", warnings.texts()));
      case "burst" -> burst(arguments);
      case "http" -> json(Http.call(source(arguments), arguments));
      case "grpc_call" -> json(GrpcCall.call(source(arguments), arguments));
      default -> throw new UnsupportedOperationException("no such op");
    };
  }

  private static JsonElement hello() {
    return json(
        Map.of(
            "protocol",
            1,
            "language",
            "java",
            "version",
            "0.1.0",
            "runtime",
            "java " + Runtime.version(),
            "features",
            List.of(
                "cancel",
                "dns",
                "unix",
                "rotate",
                "list",
                "http:java-net-http",
                "http:java-net-http-async",
                "http:okhttp",
                "http:spring-rest",
                "http:spring-web",
                "grpc:grpc-java")));
  }

  private JsonElement open(Arguments arguments) {
    TokenSource.Builder builder =
        TokenSource.builder(arguments.text("client"))
            .audience(arguments.text("audience"))
            .scopes(arguments.scopes());
    arguments.connect(builder);
    if (arguments.has("via")) {
      builder.via(client(arguments.text("via")));
    }
    arguments.millis("wait_for_server_ms").ifPresent(builder::waitForServer);
    TokenSource source = builder.open();
    sources.put(arguments.text("source"), source);
    return token(source.token());
  }

  private JsonElement read(Arguments arguments) {
    TokenSource source = source(arguments);
    Token token = source.token();
    for (long i = arguments.number("count", 1); i > 1; i--) {
      token = source.token();
    }
    return token(token);
  }

  private Token get(Arguments arguments) {
    TokenSource source = source(arguments);
    return arguments.millis("timeout_ms").map(source::get).orElseGet(source::get);
  }

  private Token reject(Arguments arguments) {
    TokenSource source = source(arguments);
    Token token = answered.get(arguments.number("generation", 0));
    if (token == null) {
      throw new IllegalStateException("no token of this generation was answered");
    }
    return arguments
        .millis("timeout_ms")
        .map(timeout -> source.reject(token, timeout))
        .orElseGet(() -> source.reject(token));
  }

  private Token updated(Arguments arguments) {
    TokenSource source = source(arguments);
    Token than = answered.get(arguments.number("than", 0));
    if (than == null) {
      throw new IllegalStateException("no token of this generation was answered");
    }
    return source.awaitUpdate(than, arguments.millis("timeout_ms").orElse(DEFAULT_TIMEOUT));
  }

  private JsonElement close(Arguments arguments) {
    if (arguments.has("conn")) {
      client(arguments).close();
    } else {
      source(arguments).close();
    }
    return new JsonObject();
  }

  private JsonElement clientOpen(Arguments arguments) {
    TokenClient.Builder builder = TokenClient.builder();
    arguments.connect(builder);
    clients.put(arguments.text("conn"), builder.build());
    return new JsonObject();
  }

  private Token clientGet(Arguments arguments) {
    TokenClient client = client(arguments);
    TokenClient timed = arguments.millis("timeout_ms").map(client::withTimeout).orElse(client);
    return arguments
        .millis("min_ttl_ms")
        .map(life -> timed.get(arguments.key(), life))
        .orElseGet(() -> timed.get(arguments.key()));
  }

  private JsonElement clientWatch(Arguments arguments, JsonArray tokens) {
    Optional<Duration> limit = arguments.millis("timeout_ms");
    TokenClient client = client(arguments);
    try (TokenWatch watch =
        limit
            .map(each -> client.watch(arguments.key(), each))
            .orElseGet(() -> client.watch(arguments.key()))) {
      while (tokens.size() < arguments.number("count", 1) && watch.hasNext()) {
        tokens.add(token(watch.next()));
      }
    }
    JsonObject answer = new JsonObject();
    answer.add("tokens", tokens);
    return answer;
  }

  private JsonElement clientReject(Arguments arguments) {
    TokenClient client = client(arguments);
    boolean wasCurrent;
    if (arguments.has("generation")) {
      wasCurrent = client.reject(arguments.key(), arguments.number("generation", 0));
    } else {
      // Without either there is nothing that would compile: an empty hash is the nearest to it.
      byte[] hash = HexFormat.of().parseHex(arguments.text("sha256"));
      wasCurrent = client.reject(arguments.key(), hash);
    }
    return json(Map.of("was_current", wasCurrent));
  }

  private JsonElement list(Arguments arguments) {
    TokenPage page =
        client(arguments)
            .listTokens(
                arguments.text("client"),
                (int) arguments.number("page_size", 0),
                arguments.text("page_token"));
    List<Object> tokens = new ArrayList<>();
    page.tokens()
        .forEach(
            each ->
                tokens.add(
                    Map.of(
                        "client", each.key().client(),
                        "audience", each.key().audience(),
                        "scopes", each.key().scopes(),
                        "generation", each.generation())));
    return json(Map.of("tokens", tokens, "next_page_token", page.nextPageToken()));
  }

  /** By the asynchronous calls where there are some, else by threads. */
  private JsonElement burst(Arguments arguments) throws Exception {
    JsonObject request = arguments.object("of");
    Arguments inner = new Arguments(request);
    int count = (int) arguments.number("n", 1);
    JsonArray results = new JsonArray();
    boolean plain = !inner.has("timeout_ms");
    if (plain && inner.text("op").equals("get")) {
      join(results, count, () -> source(inner).getAsync());
    } else if (plain && inner.text("op").equals("reject")) {
      Token token = answered.get(inner.number("generation", 0));
      if (token == null) {
        throw new IllegalStateException("no token of this generation was answered");
      }
      join(results, count, () -> source(inner).rejectAsync(token));
    } else {
      ExecutorService threads = Executors.newFixedThreadPool(count);
      try {
        List<Future<Outcomes.Answer>> answers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
          answers.add(threads.submit(() -> answer(request)));
        }
        for (Future<Outcomes.Answer> each : answers) {
          results.add(result(each.get()));
        }
      } finally {
        threads.shutdownNow();
      }
    }
    JsonObject answer = new JsonObject();
    answer.add("results", results);
    return answer;
  }

  private void join(
      JsonArray results, int count, java.util.function.Supplier<CompletableFuture<Token>> call)
      throws InterruptedException {
    List<CompletableFuture<Token>> calls = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      calls.add(call.get());
    }
    for (CompletableFuture<Token> each : calls) {
      Outcomes.Answer answer;
      try {
        answer = new Outcomes.Answer(token(each.get()), null, null);
      } catch (java.util.concurrent.ExecutionException e) {
        Throwable error = Outcomes.unwrapped(e);
        lastError = error;
        answer = new Outcomes.Answer(null, Outcomes.error(error), null);
      }
      results.add(result(answer));
    }
  }

  private static JsonObject result(Outcomes.Answer answer) {
    JsonObject result = new JsonObject();
    if (answer.ok() != null) {
      result.add("ok", answer.ok());
    }
    if (answer.error() != null) {
      result.add("error", answer.error());
    }
    return result;
  }

  private TokenSource source(Arguments arguments) {
    TokenSource source = sources.get(arguments.text("source"));
    if (source == null) {
      throw new IllegalStateException("no such source");
    }
    return source;
  }

  private TokenClient client(Arguments arguments) {
    return client(arguments.text("conn"));
  }

  private TokenClient client(String name) {
    TokenClient client = clients.get(name);
    if (client == null) {
      throw new IllegalStateException("no such client");
    }
    return client;
  }

  private JsonObject token(Token token) {
    answered.put(token.generation(), token);
    return Outcomes.token(token);
  }

  private static JsonElement json(Object value) {
    return Outcomes.JSON.toJsonTree(value);
  }
}
