package io.mintonce.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Serves shared OAuth 2.0 access tokens. There is one token for each key (client, audience, scopes) at a time, and all
 * callers of all replicas get that one.
 * Every error carries google.rpc.ErrorInfo (domain "mintonce", a reason of ErrorReason, metadata `remedy` and
 * `request_id`) and, where a retry at a known time may help, google.rpc.RetryInfo. The trailer
 * `grpc-retry-pushback-ms: -1` comes with every reason but DRAINING: automatic retries of a channel must stop then.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class TokenServiceGrpc {

  private TokenServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "mintonce.v1.TokenService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.mintonce.v1.GetTokenRequest,
      io.mintonce.v1.GetTokenResponse> getGetTokenMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetToken",
      requestType = io.mintonce.v1.GetTokenRequest.class,
      responseType = io.mintonce.v1.GetTokenResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.mintonce.v1.GetTokenRequest,
      io.mintonce.v1.GetTokenResponse> getGetTokenMethod() {
    io.grpc.MethodDescriptor<io.mintonce.v1.GetTokenRequest, io.mintonce.v1.GetTokenResponse> getGetTokenMethod;
    if ((getGetTokenMethod = TokenServiceGrpc.getGetTokenMethod) == null) {
      synchronized (TokenServiceGrpc.class) {
        if ((getGetTokenMethod = TokenServiceGrpc.getGetTokenMethod) == null) {
          TokenServiceGrpc.getGetTokenMethod = getGetTokenMethod =
              io.grpc.MethodDescriptor.<io.mintonce.v1.GetTokenRequest, io.mintonce.v1.GetTokenResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetToken"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.mintonce.v1.GetTokenRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.mintonce.v1.GetTokenResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TokenServiceMethodDescriptorSupplier("GetToken"))
              .build();
        }
      }
    }
    return getGetTokenMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.mintonce.v1.WatchTokenRequest,
      io.mintonce.v1.WatchTokenResponse> getWatchTokenMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchToken",
      requestType = io.mintonce.v1.WatchTokenRequest.class,
      responseType = io.mintonce.v1.WatchTokenResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.mintonce.v1.WatchTokenRequest,
      io.mintonce.v1.WatchTokenResponse> getWatchTokenMethod() {
    io.grpc.MethodDescriptor<io.mintonce.v1.WatchTokenRequest, io.mintonce.v1.WatchTokenResponse> getWatchTokenMethod;
    if ((getWatchTokenMethod = TokenServiceGrpc.getWatchTokenMethod) == null) {
      synchronized (TokenServiceGrpc.class) {
        if ((getWatchTokenMethod = TokenServiceGrpc.getWatchTokenMethod) == null) {
          TokenServiceGrpc.getWatchTokenMethod = getWatchTokenMethod =
              io.grpc.MethodDescriptor.<io.mintonce.v1.WatchTokenRequest, io.mintonce.v1.WatchTokenResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchToken"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.mintonce.v1.WatchTokenRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.mintonce.v1.WatchTokenResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TokenServiceMethodDescriptorSupplier("WatchToken"))
              .build();
        }
      }
    }
    return getWatchTokenMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.mintonce.v1.RejectTokenRequest,
      io.mintonce.v1.RejectTokenResponse> getRejectTokenMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RejectToken",
      requestType = io.mintonce.v1.RejectTokenRequest.class,
      responseType = io.mintonce.v1.RejectTokenResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.mintonce.v1.RejectTokenRequest,
      io.mintonce.v1.RejectTokenResponse> getRejectTokenMethod() {
    io.grpc.MethodDescriptor<io.mintonce.v1.RejectTokenRequest, io.mintonce.v1.RejectTokenResponse> getRejectTokenMethod;
    if ((getRejectTokenMethod = TokenServiceGrpc.getRejectTokenMethod) == null) {
      synchronized (TokenServiceGrpc.class) {
        if ((getRejectTokenMethod = TokenServiceGrpc.getRejectTokenMethod) == null) {
          TokenServiceGrpc.getRejectTokenMethod = getRejectTokenMethod =
              io.grpc.MethodDescriptor.<io.mintonce.v1.RejectTokenRequest, io.mintonce.v1.RejectTokenResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RejectToken"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.mintonce.v1.RejectTokenRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.mintonce.v1.RejectTokenResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TokenServiceMethodDescriptorSupplier("RejectToken"))
              .build();
        }
      }
    }
    return getRejectTokenMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static TokenServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TokenServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TokenServiceStub>() {
        @java.lang.Override
        public TokenServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TokenServiceStub(channel, callOptions);
        }
      };
    return TokenServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static TokenServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TokenServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TokenServiceBlockingV2Stub>() {
        @java.lang.Override
        public TokenServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TokenServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return TokenServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static TokenServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TokenServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TokenServiceBlockingStub>() {
        @java.lang.Override
        public TokenServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TokenServiceBlockingStub(channel, callOptions);
        }
      };
    return TokenServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static TokenServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TokenServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TokenServiceFutureStub>() {
        @java.lang.Override
        public TokenServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TokenServiceFutureStub(channel, callOptions);
        }
      };
    return TokenServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Serves shared OAuth 2.0 access tokens. There is one token for each key (client, audience, scopes) at a time, and all
   * callers of all replicas get that one.
   * Every error carries google.rpc.ErrorInfo (domain "mintonce", a reason of ErrorReason, metadata `remedy` and
   * `request_id`) and, where a retry at a known time may help, google.rpc.RetryInfo. The trailer
   * `grpc-retry-pushback-ms: -1` comes with every reason but DRAINING: automatic retries of a channel must stop then.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Returns the live token of a key. Mints it if there is none.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, ISSUER_*, STORE_UNAVAILABLE,
     * WAIT_TIMED_OUT, LIMIT_EXCEEDED, AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    default void getToken(io.mintonce.v1.GetTokenRequest request,
        io.grpc.stub.StreamObserver<io.mintonce.v1.GetTokenResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetTokenMethod(), responseObserver);
    }

    /**
     * <pre>
     * Sends the live token at once, then each successor when it is committed. Ends when the caller cancels, when its
     * permission or its proof of identity ends, or when the replica drains (DRAINING: watch again, another replica answers).
     * Errors: as GetToken, and DRAINING.
     * </pre>
     */
    default void watchToken(io.mintonce.v1.WatchTokenRequest request,
        io.grpc.stub.StreamObserver<io.mintonce.v1.WatchTokenResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchTokenMethod(), responseObserver);
    }

    /**
     * <pre>
     * Reports that a resource server refused a token before its expiry. If that token is the current one, all replicas stop
     * serving it. Does not mint: call GetToken for the successor.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, ROTATION_TOO_SOON, STORE_UNAVAILABLE,
     * LIMIT_EXCEEDED, AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    default void rejectToken(io.mintonce.v1.RejectTokenRequest request,
        io.grpc.stub.StreamObserver<io.mintonce.v1.RejectTokenResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRejectTokenMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service TokenService.
   * <pre>
   * Serves shared OAuth 2.0 access tokens. There is one token for each key (client, audience, scopes) at a time, and all
   * callers of all replicas get that one.
   * Every error carries google.rpc.ErrorInfo (domain "mintonce", a reason of ErrorReason, metadata `remedy` and
   * `request_id`) and, where a retry at a known time may help, google.rpc.RetryInfo. The trailer
   * `grpc-retry-pushback-ms: -1` comes with every reason but DRAINING: automatic retries of a channel must stop then.
   * </pre>
   */
  public static abstract class TokenServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return TokenServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service TokenService.
   * <pre>
   * Serves shared OAuth 2.0 access tokens. There is one token for each key (client, audience, scopes) at a time, and all
   * callers of all replicas get that one.
   * Every error carries google.rpc.ErrorInfo (domain "mintonce", a reason of ErrorReason, metadata `remedy` and
   * `request_id`) and, where a retry at a known time may help, google.rpc.RetryInfo. The trailer
   * `grpc-retry-pushback-ms: -1` comes with every reason but DRAINING: automatic retries of a channel must stop then.
   * </pre>
   */
  public static final class TokenServiceStub
      extends io.grpc.stub.AbstractAsyncStub<TokenServiceStub> {
    private TokenServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TokenServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TokenServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Returns the live token of a key. Mints it if there is none.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, ISSUER_*, STORE_UNAVAILABLE,
     * WAIT_TIMED_OUT, LIMIT_EXCEEDED, AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    public void getToken(io.mintonce.v1.GetTokenRequest request,
        io.grpc.stub.StreamObserver<io.mintonce.v1.GetTokenResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetTokenMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Sends the live token at once, then each successor when it is committed. Ends when the caller cancels, when its
     * permission or its proof of identity ends, or when the replica drains (DRAINING: watch again, another replica answers).
     * Errors: as GetToken, and DRAINING.
     * </pre>
     */
    public void watchToken(io.mintonce.v1.WatchTokenRequest request,
        io.grpc.stub.StreamObserver<io.mintonce.v1.WatchTokenResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchTokenMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Reports that a resource server refused a token before its expiry. If that token is the current one, all replicas stop
     * serving it. Does not mint: call GetToken for the successor.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, ROTATION_TOO_SOON, STORE_UNAVAILABLE,
     * LIMIT_EXCEEDED, AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    public void rejectToken(io.mintonce.v1.RejectTokenRequest request,
        io.grpc.stub.StreamObserver<io.mintonce.v1.RejectTokenResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRejectTokenMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service TokenService.
   * <pre>
   * Serves shared OAuth 2.0 access tokens. There is one token for each key (client, audience, scopes) at a time, and all
   * callers of all replicas get that one.
   * Every error carries google.rpc.ErrorInfo (domain "mintonce", a reason of ErrorReason, metadata `remedy` and
   * `request_id`) and, where a retry at a known time may help, google.rpc.RetryInfo. The trailer
   * `grpc-retry-pushback-ms: -1` comes with every reason but DRAINING: automatic retries of a channel must stop then.
   * </pre>
   */
  public static final class TokenServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<TokenServiceBlockingV2Stub> {
    private TokenServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TokenServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TokenServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Returns the live token of a key. Mints it if there is none.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, ISSUER_*, STORE_UNAVAILABLE,
     * WAIT_TIMED_OUT, LIMIT_EXCEEDED, AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    public io.mintonce.v1.GetTokenResponse getToken(io.mintonce.v1.GetTokenRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetTokenMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Sends the live token at once, then each successor when it is committed. Ends when the caller cancels, when its
     * permission or its proof of identity ends, or when the replica drains (DRAINING: watch again, another replica answers).
     * Errors: as GetToken, and DRAINING.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.mintonce.v1.WatchTokenResponse>
        watchToken(io.mintonce.v1.WatchTokenRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchTokenMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reports that a resource server refused a token before its expiry. If that token is the current one, all replicas stop
     * serving it. Does not mint: call GetToken for the successor.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, ROTATION_TOO_SOON, STORE_UNAVAILABLE,
     * LIMIT_EXCEEDED, AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    public io.mintonce.v1.RejectTokenResponse rejectToken(io.mintonce.v1.RejectTokenRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRejectTokenMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service TokenService.
   * <pre>
   * Serves shared OAuth 2.0 access tokens. There is one token for each key (client, audience, scopes) at a time, and all
   * callers of all replicas get that one.
   * Every error carries google.rpc.ErrorInfo (domain "mintonce", a reason of ErrorReason, metadata `remedy` and
   * `request_id`) and, where a retry at a known time may help, google.rpc.RetryInfo. The trailer
   * `grpc-retry-pushback-ms: -1` comes with every reason but DRAINING: automatic retries of a channel must stop then.
   * </pre>
   */
  public static final class TokenServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<TokenServiceBlockingStub> {
    private TokenServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TokenServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TokenServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Returns the live token of a key. Mints it if there is none.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, ISSUER_*, STORE_UNAVAILABLE,
     * WAIT_TIMED_OUT, LIMIT_EXCEEDED, AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    public io.mintonce.v1.GetTokenResponse getToken(io.mintonce.v1.GetTokenRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetTokenMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Sends the live token at once, then each successor when it is committed. Ends when the caller cancels, when its
     * permission or its proof of identity ends, or when the replica drains (DRAINING: watch again, another replica answers).
     * Errors: as GetToken, and DRAINING.
     * </pre>
     */
    public java.util.Iterator<io.mintonce.v1.WatchTokenResponse> watchToken(
        io.mintonce.v1.WatchTokenRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchTokenMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reports that a resource server refused a token before its expiry. If that token is the current one, all replicas stop
     * serving it. Does not mint: call GetToken for the successor.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, ROTATION_TOO_SOON, STORE_UNAVAILABLE,
     * LIMIT_EXCEEDED, AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    public io.mintonce.v1.RejectTokenResponse rejectToken(io.mintonce.v1.RejectTokenRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRejectTokenMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service TokenService.
   * <pre>
   * Serves shared OAuth 2.0 access tokens. There is one token for each key (client, audience, scopes) at a time, and all
   * callers of all replicas get that one.
   * Every error carries google.rpc.ErrorInfo (domain "mintonce", a reason of ErrorReason, metadata `remedy` and
   * `request_id`) and, where a retry at a known time may help, google.rpc.RetryInfo. The trailer
   * `grpc-retry-pushback-ms: -1` comes with every reason but DRAINING: automatic retries of a channel must stop then.
   * </pre>
   */
  public static final class TokenServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<TokenServiceFutureStub> {
    private TokenServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TokenServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TokenServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Returns the live token of a key. Mints it if there is none.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, ISSUER_*, STORE_UNAVAILABLE,
     * WAIT_TIMED_OUT, LIMIT_EXCEEDED, AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.mintonce.v1.GetTokenResponse> getToken(
        io.mintonce.v1.GetTokenRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetTokenMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Reports that a resource server refused a token before its expiry. If that token is the current one, all replicas stop
     * serving it. Does not mint: call GetToken for the successor.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, ROTATION_TOO_SOON, STORE_UNAVAILABLE,
     * LIMIT_EXCEEDED, AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.mintonce.v1.RejectTokenResponse> rejectToken(
        io.mintonce.v1.RejectTokenRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRejectTokenMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_GET_TOKEN = 0;
  private static final int METHODID_WATCH_TOKEN = 1;
  private static final int METHODID_REJECT_TOKEN = 2;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_GET_TOKEN:
          serviceImpl.getToken((io.mintonce.v1.GetTokenRequest) request,
              (io.grpc.stub.StreamObserver<io.mintonce.v1.GetTokenResponse>) responseObserver);
          break;
        case METHODID_WATCH_TOKEN:
          serviceImpl.watchToken((io.mintonce.v1.WatchTokenRequest) request,
              (io.grpc.stub.StreamObserver<io.mintonce.v1.WatchTokenResponse>) responseObserver);
          break;
        case METHODID_REJECT_TOKEN:
          serviceImpl.rejectToken((io.mintonce.v1.RejectTokenRequest) request,
              (io.grpc.stub.StreamObserver<io.mintonce.v1.RejectTokenResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getGetTokenMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.mintonce.v1.GetTokenRequest,
              io.mintonce.v1.GetTokenResponse>(
                service, METHODID_GET_TOKEN)))
        .addMethod(
          getWatchTokenMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.mintonce.v1.WatchTokenRequest,
              io.mintonce.v1.WatchTokenResponse>(
                service, METHODID_WATCH_TOKEN)))
        .addMethod(
          getRejectTokenMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.mintonce.v1.RejectTokenRequest,
              io.mintonce.v1.RejectTokenResponse>(
                service, METHODID_REJECT_TOKEN)))
        .build();
  }

  private static abstract class TokenServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    TokenServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.mintonce.v1.Tokens.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("TokenService");
    }
  }

  private static final class TokenServiceFileDescriptorSupplier
      extends TokenServiceBaseDescriptorSupplier {
    TokenServiceFileDescriptorSupplier() {}
  }

  private static final class TokenServiceMethodDescriptorSupplier
      extends TokenServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    TokenServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (TokenServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new TokenServiceFileDescriptorSupplier())
              .addMethod(getGetTokenMethod())
              .addMethod(getWatchTokenMethod())
              .addMethod(getRejectTokenMethod())
              .build();
        }
      }
    }
    return result;
  }
}
