package io.mintonce.testee;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;

/** One JSON object a line on standard input; each gets one on standard output, in any order. */
public final class Main {
  private final PrintStream out =
      new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
  private final Warnings warnings = new Warnings();
  private final Operations operations = new Operations(warnings);
  private final Map<Long, Future<?>> running = new ConcurrentHashMap<>();
  private final ExecutorService threads = Executors.newCachedThreadPool();

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
    threads.shutdown();
  }

  private void accept(JsonObject request) {
    long id = request.get("id").getAsLong();
    if (request.get("op").getAsString().equals("cancel")) {
      Future<?> task = running.get(request.get("of").getAsLong());
      if (task != null) {
        task.cancel(true);
      }
      answer(id, new Outcomes.Answer(new JsonObject(), null, null));
      return;
    }
    FutureTask<?> task =
        new FutureTask<>(
            () -> {
              Outcomes.Answer answer = operations.answer(request);
              running.remove(id);
              answer(id, answer);
            },
            null);
    running.put(id, task);
    threads.execute(task);
  }

  private synchronized void answer(long id, Outcomes.Answer answer) {
    JsonObject line = new JsonObject();
    line.addProperty("id", id);
    if (answer.ok() != null) {
      line.add("ok", answer.ok());
    }
    if (answer.error() != null) {
      line.add("error", answer.error());
    }
    JsonElement tokens = answer.tokens();
    if (tokens != null) {
      line.add("tokens", tokens);
    }
    out.println(Outcomes.JSON.toJson(line));
  }
}
