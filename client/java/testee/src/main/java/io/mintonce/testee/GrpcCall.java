package io.mintonce.testee;

import com.google.gson.JsonObject;
import io.grpc.CallOptions;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.ClientCalls;
import io.mintonce.MintonceCallCredentials;
import io.mintonce.TokenSource;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** One call of a gRPC API with the call credentials. */
final class GrpcCall {
  private GrpcCall() {}

  static Map<String, Object> call(TokenSource source, JsonObject request) throws IOException {
    String ca = Operations.text(request, "ca_file", "");
    ChannelCredentials credentials =
        ca.isEmpty()
            ? InsecureChannelCredentials.create()
            : TlsChannelCredentials.newBuilder().trustManager(new File(ca)).build();
    ManagedChannel channel =
        Grpc.newChannelBuilder(Operations.text(request, "target", ""), credentials).build();
    try {
      CallOptions options =
          CallOptions.DEFAULT
              .withCallCredentials(new MintonceCallCredentials(source))
              .withDeadlineAfter(
                  Operations.number(request, "timeout_ms", 10_000), TimeUnit.MILLISECONDS);
      byte[] unused =
          ClientCalls.blockingUnaryCall(
              channel,
              method(Operations.text(request, "method", "test.Api/Call")),
              options,
              new byte[0]);
      return Map.of("code", "OK");
    } catch (StatusRuntimeException e) {
      return Map.of("code", e.getStatus().getCode().name());
    } finally {
      channel.shutdownNow();
    }
  }

  private static MethodDescriptor<byte[], byte[]> method(String name) {
    Bytes bytes = new Bytes();
    return MethodDescriptor.newBuilder(bytes, bytes)
        .setType(MethodDescriptor.MethodType.UNARY)
        .setFullMethodName(name.startsWith("/") ? name.substring(1) : name)
        .build();
  }

  private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] value) {
      return new ByteArrayInputStream(value);
    }

    @Override
    public byte[] parse(InputStream stream) {
      try {
        return stream.readAllBytes();
      } catch (IOException e) {
        throw new java.io.UncheckedIOException(e);
      }
    }
  }
}
