package io.mintonce;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.grpc.Status;
import io.mintonce.MintonceException.Detail;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** The decisions that the clients of all languages share, recorded from the Python client. */
class FollowerVectorsTest {
  private static final double EPSILON = 1e-6;
  private static final Path VECTORS = Path.of("../../../conformance/follower");

  private double jitter;

  @TestFactory
  Stream<DynamicTest> everyVector() throws Exception {
    List<DynamicTest> tests = new ArrayList<>();
    try (Stream<Path> files = Files.list(VECTORS)) {
      for (Path file : files.filter(each -> each.toString().endsWith(".jsonl")).toList()) {
        for (String line : Files.readAllLines(file)) {
          if (!line.isBlank()) {
            JsonObject vector = JsonParser.parseString(line).getAsJsonObject();
            String name = file.getFileName() + ": " + vector.get("name").getAsString();
            tests.add(DynamicTest.dynamicTest(name, () -> replay(vector)));
          }
        }
      }
    }
    assertFalse(tests.isEmpty(), "no vectors in " + VECTORS.toAbsolutePath().normalize());
    return tests.stream();
  }

  private void replay(JsonObject vector) {
    jitter = vector.get("jitter").getAsDouble();
    Follower follower =
        new Follower(
            token(vector.getAsJsonObject("token")), vector.get("now").getAsDouble(), () -> jitter);
    int number = 0;
    for (JsonElement each : vector.getAsJsonArray("events")) {
      JsonObject event = each.getAsJsonObject();
      String where = "event " + number++ + " " + event.get("do").getAsString();
      double now = event.get("now").getAsDouble();
      jitter = event.get("jitter").getAsDouble();
      JsonObject expected = event.getAsJsonObject("expect");
      same(where + " result", expected.get("result"), result(follower, event, now));
      same(where + " step", expected.get("step"), step(follower.next(now)));
      same(where + " state", expected.get("state"), state(follower, now));
    }
  }

  @SuppressWarnings("StatementSwitchToExpressionSwitch") // each event is a statement
  private static @Nullable Object result(Follower follower, JsonObject event, double now) {
    switch (event.get("do").getAsString()) {
      case "offer":
        return follower.offer(token(event.getAsJsonObject("token")), now);
      case "fetched":
        return follower.fetched(token(event.getAsJsonObject("token")), now);
      case "fetch_failed":
        follower.fetchFailed(Objects.requireNonNull(error(event.get("error"))), now);
        return null;
      case "watch_ended":
        follower.watchEnded(
            error(event.get("error")),
            event.get("started_at").getAsDouble(),
            event.get("limit").getAsDouble(),
            now);
        return null;
      case "want_report":
        return raised(() -> follower.wantReport(event.get("generation").getAsLong(), now));
      case "reported":
        follower.reported(now);
        return null;
      case "report_failed":
        follower.reportFailed(Objects.requireNonNull(error(event.get("error"))), now);
        return null;
      case "hurry":
        return raised(() -> follower.hurry(now));
      case "successor":
        return generation(follower.successor(event.get("generation").getAsLong(), now));
      case "look":
        return null;
      default:
        throw new AssertionError("an unknown event: " + event);
    }
  }

  private static @Nullable Map<String, String> raised(Runnable action) {
    try {
      action.run();
      return null;
    } catch (MintonceException e) {
      return Map.of("error", e.reason());
    }
  }

  private static Map<String, ?> step(Step step) {
    if (step instanceof Step.Report report) {
      return Map.of("do", "report", "generation", report.generation());
    }
    if (step instanceof Step.Watch watch) {
      return Map.of("do", "watch", "limit", watch.limit());
    }
    if (step instanceof Step.Pause pause) {
      return Map.of("do", "pause", "seconds", pause.seconds());
    }
    return Map.of("do", "fetch");
  }

  private static Map<String, @Nullable Object> state(Follower follower, double now) {
    Follower.State inner = follower.state();
    Map<String, @Nullable Object> state = new java.util.HashMap<>();
    state.put("token", generation(follower.token()));
    state.put("live", generation(follower.live(now)));
    state.put("last_error", reason(inner.lastError()));
    state.put("report_error", reason(follower.reportError()));
    state.put("setbacks", follower.setbacks());
    state.put("report_setbacks", follower.reportSetbacks());
    state.put("fetch_at", inner.fetchAt());
    state.put("watch_at", inner.watchAt());
    state.put("fetch_failures", inner.fetchFailures());
    state.put("watch_failures", inner.watchFailures());
    state.put("wanted_report", inner.wantedReport());
    state.put("rejected", inner.rejected());
    state.put("blocked_until", inner.blockedUntil());
    return state;
  }

  private static void same(String where, @Nullable JsonElement expected, @Nullable Object actual) {
    if (expected == null || expected instanceof JsonNull) {
      assertEquals(null, actual, where);
    } else if (expected.isJsonObject()) {
      Map<?, ?> fields = (Map<?, ?>) Objects.requireNonNull(actual, where);
      for (Map.Entry<String, JsonElement> field : expected.getAsJsonObject().entrySet()) {
        if (!(where.endsWith("result") && !fields.containsKey(field.getKey()))) {
          same(where + "." + field.getKey(), field.getValue(), fields.get(field.getKey()));
        }
      }
    } else if (actual instanceof Number number) {
      assertEquals(expected.getAsDouble(), number.doubleValue(), EPSILON, where);
    } else {
      assertEquals(expected.getAsString(), String.valueOf(actual), where);
    }
  }

  private static Token token(JsonObject token) {
    return new Token(
        "secret-text",
        "Bearer",
        List.of(),
        token.get("generation").getAsLong(),
        token.get("expires_at").getAsDouble(),
        token.get("refresh_at").getAsDouble(),
        Instant.EPOCH,
        Origin.MINT,
        false);
  }

  private static @Nullable MintonceException error(@Nullable JsonElement element) {
    if (element == null || element.isJsonNull()) {
      return null;
    }
    JsonObject error = element.getAsJsonObject();
    JsonElement after = error.get("retry_after");
    return new MintonceException(
        new Detail(
            "scripted",
            error.get("reason").getAsString(),
            "",
            after == null || after.isJsonNull() ? Double.NaN : after.getAsDouble(),
            Status.Code.valueOf(error.get("code").getAsString()),
            "",
            ""),
        null);
  }

  private static @Nullable Long generation(@Nullable Token token) {
    return token == null ? null : token.generation();
  }

  private static @Nullable String reason(@Nullable MintonceException error) {
    return error == null ? null : error.reason();
  }
}
