package io.mintonce.spring;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.grpc.Status;
import io.mintonce.TokenSource;
import io.mintonce.testing.ScriptedApi;
import io.mintonce.testing.ScriptedApi.Seen;
import io.mintonce.testing.ScriptedServer;
import java.net.http.HttpClient;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpMethod;
import org.springframework.http.client.JdkClientHttpRequestFactory;
import org.springframework.http.client.reactive.JdkClientHttpConnector;
import org.springframework.web.client.RestClient;
import org.springframework.web.reactive.function.client.WebClient;
import reactor.core.publisher.Mono;

class SpringTest {
  private static final String FIRST = "Bearer " + ScriptedServer.text(101);
  private static final String SECOND = "Bearer " + ScriptedServer.text(102);

  private final ScriptedServer server = new ScriptedServer();
  private final ScriptedApi api = new ScriptedApi();
  private final TokenSource source =
      TokenSource.builder("billing").target(server.target()).plaintext().noBearer().open();
  private final HttpClient jdk = HttpClient.newHttpClient();
  private final RestClient rest =
      RestClient.builder()
          .requestFactory(new JdkClientHttpRequestFactory(jdk))
          .requestInterceptor(new MintonceRequestInterceptor(source))
          .build();
  private final WebClient web =
      WebClient.builder()
          .clientConnector(new JdkClientHttpConnector(jdk))
          .filter(new MintonceExchangeFilter(source))
          .build();

  enum Way {
    REST,
    WEB
  }

  @AfterEach
  void stop() {
    source.close();
    server.close();
    api.close();
  }

  private int post(Way way) {
    if (way == Way.REST) {
      return Objects.requireNonNull(
          rest.method(HttpMethod.POST)
              .uri(api.url())
              .body("body")
              .exchange((request, response) -> response.getStatusCode().value()));
    }
    return Objects.requireNonNull(
        web.post()
            .uri(api.url())
            .bodyValue("body")
            .exchangeToMono(
                response -> response.releaseBody().then(Mono.just(response.statusCode().value())))
            .block(Duration.ofSeconds(10)));
  }

  @ParameterizedTest
  @EnumSource
  void sendsTheToken(Way way) {
    assertEquals(200, post(way));
    assertEquals(List.of(new Seen(FIRST, "body")), api.seen);
  }

  @ParameterizedTest
  @EnumSource
  void after401ItRejectsOnceAndRepeatsOnceWithTheBody(Way way) {
    api.refused.add(FIRST);
    assertEquals(200, post(way));
    assertEquals(List.of(new Seen(FIRST, "body"), new Seen(SECOND, "body")), api.seen);
    assertEquals(1, server.rejects.get());
  }

  @ParameterizedTest
  @EnumSource
  void aSecond401IsReturned(Way way) {
    api.refused.add("*");
    assertEquals(401, post(way));
    assertEquals(2, api.seen.size());
    assertEquals(1, server.rejects.get());
  }

  @Test
  void a401ToOtherCredentialsRejectsNothing() {
    api.refused.add("*");
    RestClient other =
        rest.mutate()
            .requestInterceptor(
                (request, body, execution) -> {
                  request.getHeaders().set(HttpHeaders.AUTHORIZATION, "Basic other");
                  return execution.execute(request, body);
                })
            .build();
    int status =
        Objects.requireNonNull(
            other
                .get()
                .uri(api.url())
                .exchange((request, response) -> response.getStatusCode().value()));
    assertEquals(401, status);
    assertEquals(List.of(new Seen("Basic other", "")), api.seen);
    assertEquals(0, server.rejects.get());
  }

  @ParameterizedTest
  @EnumSource
  void aRefusedRejectionGivesTheApisOwn401(Way way) {
    api.refused.add(FIRST);
    server.failReject =
        ScriptedServer.error(Status.Code.RESOURCE_EXHAUSTED, "ROTATION_TOO_SOON", 60_000);
    assertEquals(401, post(way));
    assertEquals(1, api.seen.size());
  }
}
