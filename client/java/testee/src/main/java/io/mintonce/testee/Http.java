package io.mintonce.testee;

import io.mintonce.TokenSource;
import io.mintonce.http.AuthorizedHttpClient;
import io.mintonce.okhttp.MintonceInterceptor;
import io.mintonce.spring.MintonceExchangeFilter;
import io.mintonce.spring.MintonceRequestInterceptor;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Objects;
import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okio.BufferedSink;
import okio.ByteString;
import org.jspecify.annotations.Nullable;
import org.springframework.http.HttpMethod;
import org.springframework.http.client.JdkClientHttpRequestFactory;
import org.springframework.http.client.reactive.JdkClientHttpConnector;
import org.springframework.web.client.RestClient;
import org.springframework.web.reactive.function.client.WebClient;

/** One request by an adapter. */
final class Http {
  private static final OkHttpClient OKHTTP = new OkHttpClient();

  private Http() {}

  /** What to send: nothing, a text, or a stream that can be read once. */
  private record Sent(ByteString content, boolean isNone, boolean isStream) {
    byte[] bytes() {
      return content.toByteArray();
    }

    static Sent of(Arguments arguments) {
      if (!arguments.has("body")) {
        return new Sent(ByteString.EMPTY, true, false);
      }
      Arguments body = new Arguments(arguments.object("body"));
      boolean stream = body.has("stream");
      String text = body.text(stream ? "stream" : "text");
      return new Sent(ByteString.encodeUtf8(text), false, stream);
    }
  }

  private record Got(int status, String body) {}

  static Map<String, Object> call(TokenSource source, Arguments arguments) throws Exception {
    String method = arguments.text("method").isEmpty() ? "GET" : arguments.text("method");
    String url = arguments.text("url");
    Sent sent = Sent.of(arguments);
    Got got =
        switch (arguments.text("adapter")) {
          case "java-net-http" -> jdk(source, method, url, sent, false);
          case "java-net-http-async" -> jdk(source, method, url, sent, true);
          case "okhttp" -> okhttp(source, method, url, sent);
          case "spring-rest" -> rest(source, method, url, sent);
          case "spring-web" -> web(source, method, url, sent);
          default -> throw new UnsupportedOperationException("no such adapter");
        };
    return Map.of("status", got.status, "body", got.body);
  }

  private static Got jdk(TokenSource source, String method, String url, Sent sent, boolean async)
      throws Exception {
    BodyPublisher publisher = BodyPublishers.ofByteArray(sent.bytes());
    if (sent.isNone) {
      publisher = BodyPublishers.noBody();
    } else if (sent.isStream) {
      InputStream once = new ByteArrayInputStream(sent.bytes());
      publisher = BodyPublishers.ofInputStream(() -> once);
    }
    HttpRequest request = HttpRequest.newBuilder(URI.create(url)).method(method, publisher).build();
    AuthorizedHttpClient client =
        AuthorizedHttpClient.wrap(HttpClient.newHttpClient(), source).followingRedirects();
    HttpResponse<String> response =
        async
            ? client.sendAsync(request, BodyHandlers.ofString()).get()
            : client.send(request, BodyHandlers.ofString());
    return new Got(response.statusCode(), response.body());
  }

  private static Got okhttp(TokenSource source, String method, String url, Sent sent)
      throws IOException {
    OkHttpClient client =
        OKHTTP.newBuilder().addInterceptor(new MintonceInterceptor(source)).build();
    RequestBody body = null;
    if (sent.isStream) {
      body = new OneShot(sent.bytes());
    } else if (!sent.isNone || method.equals("POST") || method.equals("PUT")) {
      body = RequestBody.create(sent.bytes());
    }
    Request request = new Request.Builder().url(url).method(method, body).build();
    try (var response = client.newCall(request).execute()) {
      return new Got(response.code(), Objects.requireNonNull(response.body()).string());
    } finally {
      OKHTTP.connectionPool().evictAll();
    }
  }

  private static Got rest(TokenSource source, String method, String url, Sent sent) {
    noStream(sent);
    // Redirects are for the library below; the JDK's would take the header to other hosts.
    RestClient client =
        RestClient.builder()
            .requestFactory(new JdkClientHttpRequestFactory(HttpClient.newHttpClient()))
            .requestInterceptor(new MintonceRequestInterceptor(source))
            .build();
    var request = client.method(HttpMethod.valueOf(method)).uri(url);
    if (!sent.isNone) {
      request.body(sent.bytes());
    }
    Got got =
        Objects.requireNonNull(
            request.exchange(
                (to, response) ->
                    new Got(
                        response.getStatusCode().value(),
                        new String(response.getBody().readAllBytes(), StandardCharsets.UTF_8))));
    return noRedirect(got);
  }

  private static Got web(TokenSource source, String method, String url, Sent sent) {
    noStream(sent);
    WebClient client =
        WebClient.builder()
            .clientConnector(new JdkClientHttpConnector(HttpClient.newHttpClient()))
            .filter(new MintonceExchangeFilter(source))
            .build();
    var request = client.method(HttpMethod.valueOf(method)).uri(url);
    if (!sent.isNone) {
      request.bodyValue(sent.bytes());
    }
    Got got =
        Objects.requireNonNull(
            request
                .exchangeToMono(
                    response ->
                        response
                            .bodyToMono(String.class)
                            .defaultIfEmpty("")
                            .map(body -> new Got(response.statusCode().value(), body)))
                .block(Duration.ofSeconds(30)));
    return noRedirect(got);
  }

  private static void noStream(Sent sent) {
    if (sent.isStream) {
      throw new UnsupportedOperationException("Spring makes the body again, or holds it in memory");
    }
  }

  private static Got noRedirect(Got got) {
    if (got.status / 100 == 3) {
      throw new UnsupportedOperationException("this client follows no redirects");
    }
    return got;
  }

  private static final class OneShot extends RequestBody {
    private final byte[] bytes;

    OneShot(byte[] bytes) {
      this.bytes = bytes;
    }

    @Override
    public @Nullable MediaType contentType() {
      return null;
    }

    @Override
    public boolean isOneShot() {
      return true;
    }

    @Override
    public void writeTo(BufferedSink sink) throws IOException {
      sink.write(bytes);
    }
  }
}
