package io.mintonce;

import static io.mintonce.testing.ScriptedServer.error;
import static io.mintonce.testing.ScriptedServer.raw;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.mintonce.testing.Certificates;
import io.mintonce.testing.ScriptedServer;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ConnectionTest {
  private static final TokenKey KEY = TokenKey.of("billing");

  @TempDir private Path folder;

  private static TokenClient client(Map<String, String> environment) {
    return TokenClient.builder().environment(environment).build();
  }

  @Test
  void mutualTlsWithTheFilesOfTheEnvironment() throws Exception {
    Certificates ca = new Certificates(folder, "one");
    var pair = ca.issue("server", "dns:mintonce.test");
    var own = ca.issue("me", "dns:me");
    try (ScriptedServer server = new ScriptedServer(Certificates.mutual(pair, ca.ca()));
        TokenClient client =
            client(
                Map.of(
                    "MINTONCE_TARGET", server.target(),
                    "MINTONCE_CA_FILE", ca.ca().toString(),
                    "MINTONCE_CERTIFICATE_FILE", own.certificate().toString(),
                    "MINTONCE_KEY_FILE", own.key().toString(),
                    "MINTONCE_SERVER_NAME", "mintonce.test"))) {
      assertTrue(client.get(KEY).isLive());
      assertEquals("mintonce.test", server.authorities.get(0));
    }
  }

  @Test
  void wrongTransportsGetAHint() throws Exception {
    Certificates ca = new Certificates(folder, "one");
    Certificates other = new Certificates(folder, "other");
    var pair = ca.issue("server", "ip:127.0.0.1");
    var elsewhere = ca.issue("elsewhere", "dns:elsewhere.test");
    try (ScriptedServer server = new ScriptedServer(Certificates.server(pair));
        ScriptedServer named = new ScriptedServer(Certificates.server(elsewhere));
        ScriptedServer clear = new ScriptedServer()) {
      assertTrue(unreachable(server, other.ca()).contains("not from a CA"));
      assertTrue(unreachable(named, ca.ca()).contains("for another name"));
      assertTrue(unreachable(clear, ca.ca()).contains("does not speak TLS"));
      String inClear = unreachable(server, null);
      assertTrue(inClear.contains("in clear"), inClear);
    }
  }

  private String unreachable(ScriptedServer server, @org.jspecify.annotations.Nullable Path ca) {
    TokenClient.Builder builder =
        TokenClient.builder().environment(Map.of()).target(server.target());
    if (ca != null) {
      builder.tls(Tls.builder().caFile(ca).build());
    }
    try (TokenClient client = builder.build()) {
      return assertThrows(UnreachableException.class, () -> client.get(KEY)).toString();
    }
  }

  @Test
  void filesThatChangeGetANewConnectionAndBrokenOnesDoNot() throws Exception {
    Certificates ca = new Certificates(folder, "one");
    Certificates next = new Certificates(folder, "next");
    var pair = ca.issue("server", "ip:127.0.0.1");
    var nextPair = next.issue("server", "ip:127.0.0.1");
    Path file = folder.resolve("ca.pem");
    Files.copy(ca.ca(), file);
    double[] now = {0};
    WatchedFiles<io.grpc.ChannelCredentials> watched =
        TlsFiles.watch(Tls.builder().caFile(file).build(), () -> now[0]);
    io.grpc.ChannelCredentials first = watched.current();
    Files.writeString(file, "broken");
    now[0] = 2;
    assertEquals(first, watched.current());
    Files.write(file, Files.readAllBytes(next.ca()));
    assertEquals(first, watched.current());
    now[0] = 4;
    assertFalse(first.equals(watched.current()));
    assertTrue(Files.exists(pair.certificate()) && Files.exists(nextPair.certificate()));
  }

  @Test
  void aKeyOfAnotherFormatNamesTheCommand() throws Exception {
    Certificates ca = new Certificates(folder, "one");
    var own = ca.issue("me", "dns:me");
    Path key = folder.resolve("sec1.key");
    Files.writeString(
        key, "-----BEGIN EC " + "PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n");
    Tls tls = Tls.builder().certificateFile(own.certificate()).keyFile(key).build();
    RefusedException error =
        assertThrows(
            RefusedException.class,
            () -> TokenClient.builder().environment(Map.of()).tls(tls).build());
    assertEquals("CREDENTIALS", error.reason());
    assertTrue(
        error
            .remedy()
            .contains("openssl pkcs8 -topk8 -nocrypt -in " + key + " -out " + key + ".p8"),
        error.remedy());
    var stranger = ca.issue("stranger", "dns:stranger");
    Tls mixed = Tls.builder().certificateFile(own.certificate()).keyFile(stranger.key()).build();
    assertThrows(
        RefusedException.class,
        () -> TokenClient.builder().environment(Map.of()).tls(mixed).build());
  }

  @Test
  void theBearerIsSentAndNeverInClearToAnotherHost() throws Exception {
    Path file = Files.writeString(folder.resolve("bearer"), "abc.def\n");
    try (ScriptedServer server = new ScriptedServer();
        TokenClient client =
            client(
                Map.of(
                    "MINTONCE_TARGET", server.target(), "MINTONCE_BEARER_FILE", file.toString()))) {
      assertTrue(client.get(KEY).isLive());
      assertEquals("Bearer abc.def", server.authorizations.get(0));
    }
    RefusedException error =
        assertThrows(
            RefusedException.class,
            () ->
                client(
                    Map.of(
                        "MINTONCE_TARGET",
                        "mintonce.example:50051",
                        "MINTONCE_API_KEY_FILE",
                        file.toString())));
    assertEquals("CREDENTIALS", error.reason());
    Files.writeString(file, "two words");
    RefusedException unusable =
        assertThrows(
            RefusedException.class, () -> client(Map.of("MINTONCE_BEARER_FILE", file.toString())));
    assertFalse(unusable.toString().contains("two words"));
  }

  @ParameterizedTest
  @CsvSource({
    "127.0.0.1:1, true",
    "localhost:1, true",
    "unix:/a, true",
    "dns:///localhost:1, true",
    "[::1]:1, true",
    "::1, true",
    "ipv4:127.0.0.1:1, true",
    "127.1.2.3, true",
    "dns://8.8.8.8/localhost:1, false",
    "example.com:1, false",
    "localhost.example.com:1, false",
    "10.0.0.1:1, false",
    "127.0.0.1.example.com:1, false",
    "[::2]:1, false",
    "127.0.0.01:1, false",
    "localhost:1@example.com, false",
  })
  void whatIsLocal(String target, boolean local) {
    assertEquals(local, LocalTarget.isLocal(target));
  }

  @ParameterizedTest
  @CsvSource({
    "MINTONCE_TLS=maybe",
    "MINTONCE_TLS=no MINTONCE_CA_FILE=a",
    "MINTONCE_KEY_FILE=a",
    "MINTONCE_BEARER_FILE=a MINTONCE_API_KEY_FILE=b",
    "MINTONCE_CA_FILE=/nowhere/ca.pem",
  })
  void contradictionsAreRefused(String variables) {
    Map<String, String> environment =
        java.util.Arrays.stream(variables.split(" ", -1))
            .map(each -> each.split("=", 2))
            .collect(java.util.stream.Collectors.toMap(pair -> pair[0], pair -> pair[1]));
    RefusedException error = assertThrows(RefusedException.class, () -> client(environment));
    assertEquals("CREDENTIALS", error.reason());
  }

  @ParameterizedTest
  @CsvSource({
    "UNAVAILABLE, QUOTA_PAUSED, UnavailableException",
    "FAILED_PRECONDITION, NEWER, RefusedException",
    "DATA_LOSS, NEWER, MintonceException",
    "RESOURCE_EXHAUSTED, ROTATION_TOO_SOON, UnavailableException",
    "INTERNAL, INTERNAL, MintonceException",
    "FAILED_PRECONDITION, ISSUER_REFUSED, RefusedException",
  })
  void theReasonAndElseTheCodeSayTheClass(Status.Code code, String reason, String name) {
    try (ScriptedServer server = new ScriptedServer();
        TokenClient client = client(Map.of("MINTONCE_TARGET", server.target()))) {
      server.failGet = error(code, reason, 2000);
      MintonceException thrown = assertThrows(MintonceException.class, () -> client.get(KEY));
      assertEquals(name, thrown.getClass().getSimpleName());
      assertEquals(reason, thrown.reason());
      assertEquals(2, thrown.retryAfter().orElseThrow().toSeconds());
    }
  }

  @Test
  void detailsThatAreForeignOrGarbageCountAsNotSaid() {
    try (ScriptedServer server = new ScriptedServer();
        TokenClient client = client(Map.of("MINTONCE_TARGET", server.target()))) {
      server.failGet = error(Status.Code.PERMISSION_DENIED, "X", "other.example", 0, true);
      assertEquals(
          "PERMISSION_DENIED",
          assertThrows(RefusedException.class, () -> client.get(KEY)).reason());
      server.failGet = raw(Status.Code.UNAUTHENTICATED, new byte[] {1, 2, 3}, true);
      assertEquals(
          "UNAUTHENTICATED", assertThrows(RefusedException.class, () -> client.get(KEY)).reason());
      server.failGet = raw(Status.Code.UNKNOWN, null, true);
      assertFalse(
          assertThrows(MintonceException.class, () -> client.get(KEY))
              .toString()
              .contains("as scripted"));
    }
  }

  @ParameterizedTest
  @CsvSource({"INTERNAL, INTERNAL", "UNAVAILABLE, STORE_UNAVAILABLE", "UNAVAILABLE, ''"})
  void noStackTraceHasThePeersTextAsItCame(Status.Code code, String reason) {
    try (ScriptedServer server = new ScriptedServer();
        TokenClient client = client(Map.of("MINTONCE_TARGET", server.target()))) {
      StatusRuntimeException scripted = error(code, reason, 0);
      server.failGet =
          code.toStatus()
              .withDescription("red \u001b[31m\nINJECTED")
              .asRuntimeException(scripted.getTrailers());
      MintonceException thrown = assertThrows(MintonceException.class, () -> client.get(KEY));
      assertTrue(thrown.getMessage().contains("red \\x1b[31m\\x0aINJECTED"), thrown.getMessage());
      StringWriter trace = new StringWriter();
      thrown.printStackTrace(new PrintWriter(trace));
      assertFalse(trace.toString().contains("\u001b"), trace.toString());
      assertFalse(trace.toString().contains("\nINJECTED"), trace.toString());
    }
  }

  @Test
  void retriesStopWhenTheServerSaysSoAndRotationsAreNeverRepeated() {
    try (ScriptedServer server = new ScriptedServer();
        TokenClient client = client(Map.of("MINTONCE_TARGET", server.target()))) {
      server.failGet = error(Status.Code.UNAVAILABLE, "STORE_UNAVAILABLE", 0);
      assertThrows(UnavailableException.class, () -> client.get(KEY));
      assertEquals(1, server.gets.get());
      server.failGet = raw(Status.Code.UNAVAILABLE, null, false);
      assertThrows(UnreachableException.class, () -> client.get(KEY));
      assertEquals(5, server.gets.get());
      server.failRotate = raw(Status.Code.UNAVAILABLE, null, false);
      assertThrows(UnreachableException.class, () -> client.rotate(KEY));
      assertEquals(1, server.rotations.get());
    }
  }

  @Test
  void aCallThatTheServerCancelsIsRepeatedAndAtLastAnErrorOfTheServer() {
    try (ScriptedServer server = new ScriptedServer();
        TokenClient client = client(Map.of("MINTONCE_TARGET", server.target()))) {
      server.failGet = raw(Status.Code.CANCELLED, null, false);
      MintonceException error = assertThrows(MintonceException.class, () -> client.get(KEY));
      assertEquals(MintonceException.class, error.getClass());
      assertEquals("CANCELLED", error.reason());
      assertEquals(Status.Code.CANCELLED, error.code());
      assertTrue(error.getMessage().contains(server.target()), error.getMessage());
      assertEquals(4, server.gets.get());
      server.failGet = null;
      assertTrue(client.get(KEY).isLive());
      try (TokenWatch watch = client.watch(KEY)) {
        assertTrue(watch.next().isLive());
        server.endWatches(raw(Status.Code.CANCELLED, null, false));
        assertEquals("CANCELLED", assertThrows(MintonceException.class, watch::hasNext).reason());
      }
    }
  }

  @Test
  void singleCalls() {
    try (ScriptedServer server = new ScriptedServer();
        TokenClient client = client(Map.of("MINTONCE_TARGET", server.target()))) {
      Token token = client.get(KEY);
      assertTrue(client.reject(KEY, token.generation()));
      assertFalse(client.reject(KEY, token.fingerprint()));
      assertThrows(IllegalArgumentException.class, () -> client.reject(KEY, new byte[3]));
      TokenPage page = client.listTokens("", 0, "");
      assertEquals("next", page.nextPageToken());
      assertEquals("billing", page.tokens().get(0).key().client());
      assertEquals(new Rotation(1, 2), client.rotate(KEY));
      try (TokenWatch watch = client.watch(KEY)) {
        assertEquals(102, watch.next().generation());
        server.publish(200, 60_000, 50_000);
        assertEquals(200, watch.next().generation());
        watch.close();
        assertFalse(watch.hasNext());
      }
      client.close();
      assertInstanceOf(
          ClosedException.class, assertThrows(MintonceException.class, () -> client.get(KEY)));
    }
  }

  @Test
  void aUrlIsNoTarget() {
    RefusedException error =
        assertThrows(
            RefusedException.class,
            () -> client(Map.of("MINTONCE_TARGET", "https://user:pw@mintonce.example/")));
    assertEquals("INVALID_REQUEST", error.reason());
    assertFalse(error.toString().contains("pw"));
  }
}
