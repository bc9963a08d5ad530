package io.mintonce.testee;

import com.google.gson.Gson;
import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.protobuf.StatusProto;
import io.mintonce.v1.GetTokenRequest;
import io.mintonce.v1.RejectTokenRequest;
import io.mintonce.v1.Token;
import io.mintonce.v1.TokenKey;
import io.mintonce.v1.TokenServiceGrpc;
import io.mintonce.v1.WatchTokenRequest;
import io.mintonce.v1.WatchTokenResponse;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Calls Mintonce with nothing but grpc-java and the generated stubs, as a program without our
 * client does. The environment names the server and the files of its own certificate; see
 * conformance/README.md, "Strangers".
 */
final class Stranger {
  private static final Map<String, String> ENVIRONMENT = System.getenv();

  private Stranger() {}

  public static void main(String[] arguments) throws Exception {
    ManagedChannel channel =
        Grpc.newChannelBuilder(
                variable("TARGET"),
                TlsChannelCredentials.newBuilder()
                    .trustManager(new File(variable("CA_FILE")))
                    .keyManager(
                        new File(variable("CERTIFICATE_FILE")), new File(variable("KEY_FILE")))
                    .build())
            .build();
    try {
      System.out.println(
          new Gson()
              .toJson(
                  ask(
                      TokenServiceGrpc.newBlockingStub(channel)
                          .withDeadlineAfter(20, TimeUnit.SECONDS))));
    } finally {
      channel.shutdownNow();
    }
  }

  private static Map<String, Object> ask(TokenServiceGrpc.TokenServiceBlockingStub service)
      throws Exception {
    Map<String, Object> said = new LinkedHashMap<>();
    TokenKey key =
        TokenKey.newBuilder()
            .setClient(variable("CLIENT"))
            .setAudience(variable("AUDIENCE"))
            .build();
    GetTokenRequest get = GetTokenRequest.newBuilder().setKey(key).build();
    Token token = service.getToken(get).getToken();
    said.put("token", digest(token));
    Iterator<WatchTokenResponse> watch =
        service.watchToken(WatchTokenRequest.newBuilder().setKey(key).build());
    said.put("watched", digest(watch.next().getToken()));
    try {
      service.getToken(
          GetTokenRequest.newBuilder().setKey(key.toBuilder().setClient("nobody")).build());
      said.put("refused", "OK");
    } catch (StatusRuntimeException e) {
      said.put("refused", reason(e));
    }
    said.put(
        "rejected",
        service
            .rejectToken(
                RejectTokenRequest.newBuilder()
                    .setKey(key)
                    .setGeneration(token.getGeneration())
                    .build())
            .getWasCurrent());
    said.put("successor", digest(service.getToken(get).getToken()));
    return said;
  }

  /** What the details of the status say, such as UNKNOWN_CLIENT; else the code. */
  private static String reason(StatusRuntimeException error) throws Exception {
    com.google.rpc.Status status = StatusProto.fromThrowable(error);
    if (status != null) {
      for (Any detail : status.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          return detail.unpack(ErrorInfo.class).getReason();
        }
      }
    }
    return error.getStatus().getCode().name();
  }

  private static String digest(Token token) throws Exception {
    byte[] text = token.getAccessToken().getBytes(StandardCharsets.UTF_8);
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(text));
  }

  private static String variable(String name) {
    String text = ENVIRONMENT.get(name);
    if (text == null) {
      throw new IllegalStateException(name + " is not set");
    }
    return text;
  }
}
