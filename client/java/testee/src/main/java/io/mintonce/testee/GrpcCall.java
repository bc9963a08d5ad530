package io.mintonce.testee;

import io.grpc.CallOptions;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
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
  private static final MethodDescriptor<byte[], byte[]> METHOD =
      MethodDescriptor.newBuilder(new Bytes(), new Bytes())
          .setType(MethodDescriptor.MethodType.UNARY)
          .setFullMethodName("mintonce.v1.TokenService/GetToken")
          .build();

  private GrpcCall() {}

  static Map<String, Object> call(TokenSource source, Arguments arguments) throws IOException {
    ChannelCredentials credentials = InsecureChannelCredentials.create();
    String name = "";
    if (arguments.has("tls")) {
      Arguments tls = new Arguments(arguments.object("tls"));
      credentials =
          TlsChannelCredentials.newBuilder().trustManager(new File(tls.text("ca_file"))).build();
      name = tls.text("server_name");
    }
    ManagedChannelBuilder<?> builder =
        Grpc.newChannelBuilder(arguments.text("target"), credentials);
    if (!name.isEmpty()) {
      builder.overrideAuthority(name);
    }
    ManagedChannel channel = builder.build();
    try {
      CallOptions options =
          CallOptions.DEFAULT
              .withCallCredentials(new MintonceCallCredentials(source))
              .withDeadlineAfter(10, TimeUnit.SECONDS);
      ClientCalls.blockingUnaryCall(channel, METHOD, options, new byte[0]);
      return Map.of("code", "OK");
    } catch (StatusRuntimeException e) {
      return Map.of("code", e.getStatus().getCode().name());
    } finally {
      channel.shutdownNow();
    }
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
