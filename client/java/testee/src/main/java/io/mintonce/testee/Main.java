package io.mintonce.testee;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.mintonce.MintonceException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;

/** One JSON object a line on standard input; each gets one on standard output, in any order. */
public final class Main {
  private static final Gson JSON = new Gson();

  private final PrintStream out =
      new PrintStream(
          new java.io.FileOutputStream(java.io.FileDescriptor.out), true, StandardCharsets.UTF_8);
  private final Operations operations = new Operations();
  private final Map<Long, Future<?>> running = new ConcurrentHashMap<>();
  private final ExecutorService threads =
      Executors.newCachedThreadPool(
          task -> {
            Thread thread = new Thread(task, "testee");
            thread.setDaemon(true);
            return thread;
          });

  private Main() {}

  /** Serves until the end of the input. */
  public static void main(String[] arguments) throws IOException {
    new Main().serve();
  }

  private void serve() throws IOException {
    // Libraries that print must not break the protocol.
    System.setOut(System.err);
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      if (!line.isBlank()) {
        accept(JsonParser.parseString(line).getAsJsonObject());
      }
    }
    operations.closeAll();
  }

  private void accept(JsonObject request) {
    long id = request.get("id").getAsLong();
    if (request.get("op").getAsString().equals("cancel")) {
      long target = request.get(request.has("target_id") ? "target_id" : "cancel").getAsLong();
      Future<?> task = running.get(target);
      answer(id, "ok", Map.of("cancelled", task != null && task.cancel(true)), 0);
      return;
    }
    FutureTask<?> task = new FutureTask<>(() -> handle(id, request), null);
    running.put(id, task);
    threads.execute(task);
  }

  private void handle(long id, JsonObject request) {
    long startedAt = System.nanoTime();
    String outcome = "ok";
    Object content;
    try {
      content = operations.run(request);
    } catch (Throwable e) {
      outcome = "error";
      content = Outcomes.error(e);
      if (!(e instanceof MintonceException || e instanceof CancellationException)) {
        e.printStackTrace();
      }
    }
    Thread.interrupted(); // a cancelled call leaves the thread interrupted
    running.remove(id);
    answer(id, outcome, content, (System.nanoTime() - startedAt) / 1_000_000);
  }

  private synchronized void answer(long id, String outcome, Object content, long tookMillis) {
    JsonObject answer = new JsonObject();
    answer.addProperty("id", id);
    answer.add(outcome, JSON.toJsonTree(content));
    answer.addProperty("took_ms", tookMillis);
    out.println(answer);
  }
}
