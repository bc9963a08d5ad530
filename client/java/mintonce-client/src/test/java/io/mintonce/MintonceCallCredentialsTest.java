package io.mintonce;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.grpc.Attributes;
import io.grpc.CallCredentials;
import io.grpc.CallOptions;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.SecurityLevel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.mintonce.testing.ConnectProxy;
import io.mintonce.testing.ScriptedServer;
import io.mintonce.v1.GetTokenRequest;
import io.mintonce.v1.TokenServiceGrpc;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class MintonceCallCredentialsTest {
  private final ScriptedServer server = new ScriptedServer();
  private final ScriptedServer api = new ScriptedServer();
  private final TokenSource source =
      TokenSource.builder("billing").environment(Map.of()).target(server.target()).open();

  @AfterEach
  void stop() {
    source.close();
    server.close();
    api.close();
  }

  @Test
  void eachCallHasTheTokenOfTheMoment() {
    ManagedChannel channel =
        Grpc.newChannelBuilder(api.target(), InsecureChannelCredentials.create()).build();
    try {
      var stub =
          TokenServiceGrpc.newBlockingStub(channel)
              .withCallCredentials(new MintonceCallCredentials(source));
      var first = stub.getToken(GetTokenRequest.getDefaultInstance());
      source.reject(source.get());
      var second = stub.getToken(GetTokenRequest.getDefaultInstance());
      assertEquals(first.getToken().getGeneration(), second.getToken().getGeneration());
      assertEquals(
          List.of("Bearer " + ScriptedServer.text(101), "Bearer " + ScriptedServer.text(102)),
          api.authorizations);
      source.close();
      StatusRuntimeException error =
          assertThrows(
              StatusRuntimeException.class,
              () -> stub.getToken(GetTokenRequest.getDefaultInstance()));
      assertEquals(Status.Code.UNAVAILABLE, error.getStatus().getCode());
    } finally {
      channel.shutdownNow();
    }
  }

  @Test
  void inClearItGoesNoFurtherThanLoopback() throws Exception {
    assertEquals(List.of("UNAUTHENTICATED"), outcome(SecurityLevel.NONE, "192.0.2.1"));
    assertEquals(List.of("UNAUTHENTICATED"), outcome(SecurityLevel.INTEGRITY, "192.0.2.1"));
    assertEquals(List.of("sent"), outcome(SecurityLevel.NONE, "127.0.0.1", "localhost:443"));
    assertEquals(List.of("sent"), outcome(SecurityLevel.NONE, "127.0.0.1", "127.0.0.1:443"));
    assertEquals(List.of("sent"), outcome(SecurityLevel.PRIVACY_AND_INTEGRITY, "192.0.2.1"));
  }

  @Test
  void aProxyOnThisHostIsNotTheEnd() throws Exception {
    assertEquals(
        List.of("UNAUTHENTICATED"), outcome(SecurityLevel.NONE, "127.0.0.1", "api.example.com:80"));
    assertEquals(List.of("UNAUTHENTICATED"), outcome(SecurityLevel.NONE, "127.0.0.1", "unix:80"));
    assertEquals(
        List.of("UNAUTHENTICATED"),
        outcome(SecurityLevel.NONE, "127.0.0.1", "localhost:80@api.example.com"));
  }

  @Test
  void norIsOneThatAnOverriddenAuthorityHides() throws Exception {
    try (ConnectProxy proxy = new ConnectProxy(api.target())) {
      System.setProperty("https.proxyHost", "127.0.0.1");
      System.setProperty("https.proxyPort", String.valueOf(proxy.port()));
      ManagedChannel channel =
          Grpc.newChannelBuilder("api.example.com:80", InsecureChannelCredentials.create())
              .overrideAuthority("localhost")
              .build();
      try {
        var stub =
            TokenServiceGrpc.newBlockingStub(channel)
                .withCallCredentials(new MintonceCallCredentials(source));
        StatusRuntimeException error =
            assertThrows(
                StatusRuntimeException.class,
                () -> stub.getToken(GetTokenRequest.getDefaultInstance()));
        assertEquals(Status.Code.UNAUTHENTICATED, error.getStatus().getCode());
        assertEquals(List.of("CONNECT api.example.com:80 HTTP/1.1"), proxy.asked);
        assertEquals(List.of(), api.authorizations);
      } finally {
        channel.shutdownNow();
        System.clearProperty("https.proxyHost");
        System.clearProperty("https.proxyPort");
      }
    }
  }

  private List<String> outcome(SecurityLevel level, String address) throws Exception {
    return outcome(level, address, "api.example.com");
  }

  private List<String> outcome(SecurityLevel level, String address, String authority)
      throws Exception {
    Attributes transport =
        Attributes.newBuilder()
            .set(
                Grpc.TRANSPORT_ATTR_REMOTE_ADDR,
                new InetSocketAddress(InetAddress.getByName(address), 443))
            .build();
    List<String> outcomes = new ArrayList<>();
    new MintonceCallCredentials(source)
        .applyRequestMetadata(
            new CallCredentials.RequestInfo() {
              @Override
              public MethodDescriptor<?, ?> getMethodDescriptor() {
                return TokenServiceGrpc.getGetTokenMethod();
              }

              @Override
              public CallOptions getCallOptions() {
                return CallOptions.DEFAULT;
              }

              @Override
              public SecurityLevel getSecurityLevel() {
                return level;
              }

              @Override
              public String getAuthority() {
                return authority;
              }

              @Override
              public Attributes getTransportAttrs() {
                return transport;
              }
            },
            Runnable::run,
            new CallCredentials.MetadataApplier() {
              @Override
              public void apply(Metadata headers) {
                outcomes.add("sent");
              }

              @Override
              public void fail(Status status) {
                outcomes.add(status.getCode().name());
              }
            });
    return outcomes;
  }
}
