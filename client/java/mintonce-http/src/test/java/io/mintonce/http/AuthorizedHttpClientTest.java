package io.mintonce.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.grpc.Status;
import io.mintonce.TokenSource;
import io.mintonce.testing.ScriptedApi;
import io.mintonce.testing.ScriptedApi.Seen;
import io.mintonce.testing.ScriptedServer;
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AuthorizedHttpClientTest {
  private static final String FIRST = "Bearer " + ScriptedServer.text(101);
  private static final String SECOND = "Bearer " + ScriptedServer.text(102);

  private final ScriptedServer server = new ScriptedServer();
  private final ScriptedApi api = new ScriptedApi();
  private final TokenSource source =
      TokenSource.builder("billing").target(server.target()).plaintext().noBearer().open();
  private final HttpClient jdk = HttpClient.newHttpClient();
  private final AuthorizedHttpClient client = AuthorizedHttpClient.wrap(jdk, source);

  @AfterEach
  void stop() {
    source.close();
    server.close();
    api.close();
  }

  private HttpRequest.Builder request() {
    return HttpRequest.newBuilder(URI.create(api.url()));
  }

  @Test
  void sendsTheToken() throws Exception {
    assertEquals(200, client.send(request().build(), BodyHandlers.ofString()).statusCode());
    assertEquals(List.of(new Seen(FIRST, "")), api.seen);
  }

  @Test
  void after401ItRejectsOnceAndRepeatsOnceWithTheBody() throws Exception {
    api.refused.add(FIRST);
    HttpRequest request = request().POST(BodyPublishers.ofString("body")).build();
    assertEquals(200, client.send(request, BodyHandlers.ofString()).statusCode());
    assertEquals(List.of(new Seen(FIRST, "body"), new Seen(SECOND, "body")), api.seen);
    assertEquals(1, server.rejects.get());
  }

  @Test
  void theAsynchronousWayDoesTheSame() throws Exception {
    api.refused.add(FIRST);
    HttpRequest request = request().POST(BodyPublishers.ofString("body")).build();
    var response = client.sendAsync(request, BodyHandlers.ofString()).get(10, TimeUnit.SECONDS);
    assertEquals(200, response.statusCode());
    assertEquals(List.of(new Seen(FIRST, "body"), new Seen(SECOND, "body")), api.seen);
    assertEquals(1, server.rejects.get());
  }

  @Test
  void aSecond401IsReturned() throws Exception {
    api.refused.add("*");
    assertEquals(401, client.send(request().build(), BodyHandlers.ofString()).statusCode());
    assertEquals(2, api.seen.size());
    assertEquals(1, server.rejects.get());
  }

  @Test
  void aStreamIsNotRepeatedButTheTokenIsRejected() throws Exception {
    api.refused.add(FIRST);
    HttpRequest request =
        request()
            .POST(BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(new byte[] {'x'})))
            .build();
    assertEquals(401, client.send(request, BodyHandlers.ofString()).statusCode());
    assertEquals(1, api.seen.size());
    assertEquals(1, server.rejects.get());
  }

  @Test
  void aRefusedRejectionGivesTheApisOwn401() throws Exception {
    api.refused.add(FIRST);
    server.failReject =
        ScriptedServer.error(Status.Code.RESOURCE_EXHAUSTED, "ROTATION_TOO_SOON", 60_000);
    var response = client.send(request().build(), BodyHandlers.ofString());
    assertEquals(401, response.statusCode());
    assertEquals("status 401", response.body());
    response =
        client.sendAsync(request().build(), BodyHandlers.ofString()).get(10, TimeUnit.SECONDS);
    assertEquals(401, response.statusCode());
  }

  @Test
  void anotherHostGetsNoTokenAndItsAnswerSaysNothingAboutIt() throws Exception {
    api.redirect = api.otherUrl();
    api.refused.add("");
    AuthorizedHttpClient following = client.followingRedirects();
    assertEquals(401, following.send(request().build(), BodyHandlers.ofString()).statusCode());
    assertEquals(List.of(new Seen(FIRST, ""), new Seen("", "")), api.seen);
    assertEquals(0, server.rejects.get());
    following.sendAsync(request().build(), BodyHandlers.ofString()).get(10, TimeUnit.SECONDS);
    assertEquals(new Seen("", ""), api.seen.get(3));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "http://exa mple/",
        "http://",
        "http:opaque",
        "http://localhost:99999/",
        "ftp://localhost/other",
        "://"
      })
  void aRedirectToNowhereIsTheResponse(String location) throws Exception {
    api.redirect = location;
    AuthorizedHttpClient following = client.followingRedirects();
    var response = following.send(request().build(), BodyHandlers.ofString());
    assertEquals("status 302", response.body());
    response =
        following.sendAsync(request().build(), BodyHandlers.ofString()).get(10, TimeUnit.SECONDS);
    assertEquals(302, response.statusCode());
    assertEquals(List.of(new Seen(FIRST, ""), new Seen(FIRST, "")), api.seen);
  }

  @Test
  void aClientThatFollowsRedirectsIsRefused() {
    HttpClient follows =
        HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NORMAL).build();
    assertThrows(IllegalArgumentException.class, () -> AuthorizedHttpClient.wrap(follows, source));
  }
}
