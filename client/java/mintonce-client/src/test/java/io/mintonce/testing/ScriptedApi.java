package io.mintonce.testing;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.jspecify.annotations.Nullable;

/** An HTTP API that answers 401 to the tokens that a test names. */
public final class ScriptedApi implements AutoCloseable {
  /** What each request had: its Authorization, "" for none, and its body. */
  public record Seen(String authorization, String body) {}

  public final List<Seen> seen = new CopyOnWriteArrayList<>();

  /** Values of the header that get a 401; "*" for all. */
  public final Set<String> refused = ConcurrentHashMap.newKeySet();

  /** The Location to redirect to; null for not. */
  public volatile @Nullable String redirect;

  private final HttpServer server;
  private final ExecutorService threads = Executors.newFixedThreadPool(2);

  public ScriptedApi() {
    try {
      server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    server.setExecutor(threads);
    server.createContext("/", this::answer);
    server.start();
  }

  public String url() {
    return "http://localhost:" + server.getAddress().getPort() + "/";
  }

  /** The same host by another name. */
  public String otherUrl() {
    return "http://127.0.0.1:" + server.getAddress().getPort() + "/other";
  }

  @Override
  public void close() {
    server.stop(0);
    threads.shutdownNow();
  }

  private void answer(HttpExchange exchange) throws IOException {
    String sent = exchange.getRequestHeaders().getFirst("Authorization");
    String authorization = sent == null ? "" : sent;
    byte[] body = exchange.getRequestBody().readAllBytes();
    seen.add(new Seen(authorization, new String(body, StandardCharsets.UTF_8)));
    int status = 200;
    String location = redirect;
    if (location != null && !exchange.getRequestURI().getPath().equals("/other")) {
      exchange.getResponseHeaders().set("Location", location);
      status = 302;
    } else if (refused.contains("*") || refused.contains(authorization)) {
      status = 401;
    }
    byte[] answer = ("status " + status).getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, answer.length);
    exchange.getResponseBody().write(answer);
    exchange.close();
  }
}
