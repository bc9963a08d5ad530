package io.mintonce.testee;

import com.google.api.client.http.ByteArrayContent;
import com.google.api.client.http.GenericUrl;
import com.google.api.client.http.HttpContent;
import com.google.api.client.http.InputStreamContent;
import com.google.api.client.http.javanet.NetHttpTransport;
import com.google.auth.http.HttpCredentialsAdapter;
import com.google.gson.JsonObject;
import io.mintonce.TokenSource;
import io.mintonce.googleauth.MintonceCredentials;
import io.mintonce.http.AuthorizedHttpClient;
import io.mintonce.okhttp.MintonceInterceptor;
import io.mintonce.spring.MintonceExchangeFilter;
import io.mintonce.spring.MintonceRequestInterceptor;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
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
import okio.Okio;
import org.jspecify.annotations.Nullable;
import org.springframework.http.HttpMethod;
import org.springframework.http.client.JdkClientHttpRequestFactory;
import org.springframework.http.client.reactive.JdkClientHttpConnector;
import org.springframework.web.client.RestClient;
import org.springframework.web.reactive.function.client.WebClient;
import reactor.core.publisher.Mono;

/** One request by an adapter. */
final class Http {
  private static final byte[] BODY = "the body".getBytes(StandardCharsets.UTF_8);

  private Http() {}

  static Map<String, Object> call(TokenSource source, JsonObject request) throws Exception {
    String adapter = Operations.text(request, "adapter", "java.net.http");
    String method = Operations.text(request, "method", "GET");
    String url = Operations.text(request, "url", "");
    String body = Operations.text(request, "body", "none");
    int status =
        switch (adapter) {
          case "java.net.http" -> jdk(source, method, url, body, false);
          case "java.net.http-async" -> jdk(source, method, url, body, true);
          case "okhttp" -> okhttp(source, method, url, body);
          case "spring-rest" -> rest(source, method, url, body);
          case "spring-web" -> web(source, method, url, body);
          case "google-auth" -> googleAuth(source, method, url, body);
          default -> throw new IllegalArgumentException("no such adapter: " + adapter);
        };
    return Map.of("status", status);
  }

  private static int jdk(TokenSource source, String method, String url, String body, boolean async)
      throws Exception {
    BodyPublisher publisher =
        switch (body) {
          case "text" -> BodyPublishers.ofByteArray(BODY);
          case "stream" -> BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(BODY));
          default -> BodyPublishers.noBody();
        };
    HttpRequest request = HttpRequest.newBuilder(URI.create(url)).method(method, publisher).build();
    AuthorizedHttpClient client =
        AuthorizedHttpClient.wrap(HttpClient.newHttpClient(), source).followingRedirects();
    return async
        ? client.sendAsync(request, BodyHandlers.ofString()).get().statusCode()
        : client.send(request, BodyHandlers.ofString()).statusCode();
  }

  private static int okhttp(TokenSource source, String method, String url, String body)
      throws IOException {
    OkHttpClient client =
        new OkHttpClient.Builder().addInterceptor(new MintonceInterceptor(source)).build();
    RequestBody sent =
        switch (body) {
          case "text" -> RequestBody.create(BODY, MediaType.get("text/plain"));
          case "stream" -> new OneShot();
          default ->
              method.equals("GET") || method.equals("HEAD")
                  ? null
                  : RequestBody.create(new byte[0]);
        };
    Request request = new Request.Builder().url(url).method(method, sent).build();
    try (var response = client.newCall(request).execute()) {
      return response.code();
    }
  }

  private static int rest(TokenSource source, String method, String url, String body) {
    RestClient client =
        RestClient.builder()
            .requestFactory(new JdkClientHttpRequestFactory(HttpClient.newHttpClient()))
            .requestInterceptor(new MintonceRequestInterceptor(source))
            .build();
    var request = client.method(HttpMethod.valueOf(method)).uri(url);
    if (!body.equals("none")) {
      request.body(BODY);
    }
    return Objects.requireNonNull(
        request.exchange((sent, response) -> response.getStatusCode().value()));
  }

  private static int web(TokenSource source, String method, String url, String body) {
    WebClient client =
        WebClient.builder()
            .clientConnector(new JdkClientHttpConnector(HttpClient.newHttpClient()))
            .filter(new MintonceExchangeFilter(source))
            .build();
    var request = client.method(HttpMethod.valueOf(method)).uri(url);
    if (!body.equals("none")) {
      request.bodyValue(BODY);
    }
    return Objects.requireNonNull(
        request
            .exchangeToMono(
                response -> response.releaseBody().then(Mono.just(response.statusCode().value())))
            .block(Duration.ofSeconds(30)));
  }

  private static int googleAuth(TokenSource source, String method, String url, String body)
      throws IOException {
    HttpContent content =
        switch (body) {
          case "text" -> new ByteArrayContent("text/plain", BODY);
          case "stream" -> new InputStreamContent("text/plain", new ByteArrayInputStream(BODY));
          default -> null;
        };
    var response =
        new NetHttpTransport()
            .createRequestFactory(new HttpCredentialsAdapter(new MintonceCredentials(source)))
            .buildRequest(method, new GenericUrl(url), content)
            .setThrowExceptionOnExecuteError(false)
            .execute();
    response.disconnect();
    return response.getStatusCode();
  }

  private static final class OneShot extends RequestBody {
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
      try (var in = Okio.source(new ByteArrayInputStream(BODY))) {
        sink.writeAll(in);
      }
    }
  }
}
