package io.mintonce.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * For operators. Errors are sent as those of TokenService.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class AdminServiceGrpc {

  private AdminServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "mintonce.v1.AdminService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.mintonce.v1.ListTokensRequest,
      io.mintonce.v1.ListTokensResponse> getListTokensMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListTokens",
      requestType = io.mintonce.v1.ListTokensRequest.class,
      responseType = io.mintonce.v1.ListTokensResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.mintonce.v1.ListTokensRequest,
      io.mintonce.v1.ListTokensResponse> getListTokensMethod() {
    io.grpc.MethodDescriptor<io.mintonce.v1.ListTokensRequest, io.mintonce.v1.ListTokensResponse> getListTokensMethod;
    if ((getListTokensMethod = AdminServiceGrpc.getListTokensMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getListTokensMethod = AdminServiceGrpc.getListTokensMethod) == null) {
          AdminServiceGrpc.getListTokensMethod = getListTokensMethod =
              io.grpc.MethodDescriptor.<io.mintonce.v1.ListTokensRequest, io.mintonce.v1.ListTokensResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListTokens"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.mintonce.v1.ListTokensRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.mintonce.v1.ListTokensResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ListTokens"))
              .build();
        }
      }
    }
    return getListTokensMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.mintonce.v1.RotateTokenRequest,
      io.mintonce.v1.RotateTokenResponse> getRotateTokenMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RotateToken",
      requestType = io.mintonce.v1.RotateTokenRequest.class,
      responseType = io.mintonce.v1.RotateTokenResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.mintonce.v1.RotateTokenRequest,
      io.mintonce.v1.RotateTokenResponse> getRotateTokenMethod() {
    io.grpc.MethodDescriptor<io.mintonce.v1.RotateTokenRequest, io.mintonce.v1.RotateTokenResponse> getRotateTokenMethod;
    if ((getRotateTokenMethod = AdminServiceGrpc.getRotateTokenMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getRotateTokenMethod = AdminServiceGrpc.getRotateTokenMethod) == null) {
          AdminServiceGrpc.getRotateTokenMethod = getRotateTokenMethod =
              io.grpc.MethodDescriptor.<io.mintonce.v1.RotateTokenRequest, io.mintonce.v1.RotateTokenResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RotateToken"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.mintonce.v1.RotateTokenRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.mintonce.v1.RotateTokenResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("RotateToken"))
              .build();
        }
      }
    }
    return getRotateTokenMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.mintonce.v1.GetUsageRequest,
      io.mintonce.v1.GetUsageResponse> getGetUsageMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetUsage",
      requestType = io.mintonce.v1.GetUsageRequest.class,
      responseType = io.mintonce.v1.GetUsageResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.mintonce.v1.GetUsageRequest,
      io.mintonce.v1.GetUsageResponse> getGetUsageMethod() {
    io.grpc.MethodDescriptor<io.mintonce.v1.GetUsageRequest, io.mintonce.v1.GetUsageResponse> getGetUsageMethod;
    if ((getGetUsageMethod = AdminServiceGrpc.getGetUsageMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getGetUsageMethod = AdminServiceGrpc.getGetUsageMethod) == null) {
          AdminServiceGrpc.getGetUsageMethod = getGetUsageMethod =
              io.grpc.MethodDescriptor.<io.mintonce.v1.GetUsageRequest, io.mintonce.v1.GetUsageResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetUsage"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.mintonce.v1.GetUsageRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.mintonce.v1.GetUsageResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("GetUsage"))
              .build();
        }
      }
    }
    return getGetUsageMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static AdminServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceStub>() {
        @java.lang.Override
        public AdminServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceStub(channel, callOptions);
        }
      };
    return AdminServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static AdminServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingV2Stub>() {
        @java.lang.Override
        public AdminServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return AdminServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static AdminServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingStub>() {
        @java.lang.Override
        public AdminServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceBlockingStub(channel, callOptions);
        }
      };
    return AdminServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static AdminServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceFutureStub>() {
        @java.lang.Override
        public AdminServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceFutureStub(channel, callOptions);
        }
      };
    return AdminServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * For operators. Errors are sent as those of TokenService.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Lists the live tokens in the store that the caller may administer, without their text.
     * Errors: INVALID_REQUEST, UNAUTHENTICATED, PERMISSION_DENIED, STORE_UNAVAILABLE, LIMIT_EXCEEDED, AUDIT_UNAVAILABLE,
     * INTERNAL.
     * </pre>
     */
    default void listTokens(io.mintonce.v1.ListTokensRequest request,
        io.grpc.stub.StreamObserver<io.mintonce.v1.ListTokensResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListTokensMethod(), responseObserver);
    }

    /**
     * <pre>
     * Mints the successor of a key's token now. The current token is served until the successor is committed.
     * Errors: as TokenService.GetToken, and BUDGET_USED_UP. Do not retry automatically: each success mints.
     * </pre>
     */
    default void rotateToken(io.mintonce.v1.RotateTokenRequest request,
        io.grpc.stub.StreamObserver<io.mintonce.v1.RotateTokenResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRotateTokenMethod(), responseObserver);
    }

    /**
     * <pre>
     * Returns what a client used in a month, counted for all replicas, and where that leads.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, STORE_UNAVAILABLE, LIMIT_EXCEEDED,
     * AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    default void getUsage(io.mintonce.v1.GetUsageRequest request,
        io.grpc.stub.StreamObserver<io.mintonce.v1.GetUsageResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetUsageMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service AdminService.
   * <pre>
   * For operators. Errors are sent as those of TokenService.
   * </pre>
   */
  public static abstract class AdminServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return AdminServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service AdminService.
   * <pre>
   * For operators. Errors are sent as those of TokenService.
   * </pre>
   */
  public static final class AdminServiceStub
      extends io.grpc.stub.AbstractAsyncStub<AdminServiceStub> {
    private AdminServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Lists the live tokens in the store that the caller may administer, without their text.
     * Errors: INVALID_REQUEST, UNAUTHENTICATED, PERMISSION_DENIED, STORE_UNAVAILABLE, LIMIT_EXCEEDED, AUDIT_UNAVAILABLE,
     * INTERNAL.
     * </pre>
     */
    public void listTokens(io.mintonce.v1.ListTokensRequest request,
        io.grpc.stub.StreamObserver<io.mintonce.v1.ListTokensResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListTokensMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Mints the successor of a key's token now. The current token is served until the successor is committed.
     * Errors: as TokenService.GetToken, and BUDGET_USED_UP. Do not retry automatically: each success mints.
     * </pre>
     */
    public void rotateToken(io.mintonce.v1.RotateTokenRequest request,
        io.grpc.stub.StreamObserver<io.mintonce.v1.RotateTokenResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRotateTokenMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Returns what a client used in a month, counted for all replicas, and where that leads.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, STORE_UNAVAILABLE, LIMIT_EXCEEDED,
     * AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    public void getUsage(io.mintonce.v1.GetUsageRequest request,
        io.grpc.stub.StreamObserver<io.mintonce.v1.GetUsageResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetUsageMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service AdminService.
   * <pre>
   * For operators. Errors are sent as those of TokenService.
   * </pre>
   */
  public static final class AdminServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<AdminServiceBlockingV2Stub> {
    private AdminServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Lists the live tokens in the store that the caller may administer, without their text.
     * Errors: INVALID_REQUEST, UNAUTHENTICATED, PERMISSION_DENIED, STORE_UNAVAILABLE, LIMIT_EXCEEDED, AUDIT_UNAVAILABLE,
     * INTERNAL.
     * </pre>
     */
    public io.mintonce.v1.ListTokensResponse listTokens(io.mintonce.v1.ListTokensRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListTokensMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Mints the successor of a key's token now. The current token is served until the successor is committed.
     * Errors: as TokenService.GetToken, and BUDGET_USED_UP. Do not retry automatically: each success mints.
     * </pre>
     */
    public io.mintonce.v1.RotateTokenResponse rotateToken(io.mintonce.v1.RotateTokenRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRotateTokenMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns what a client used in a month, counted for all replicas, and where that leads.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, STORE_UNAVAILABLE, LIMIT_EXCEEDED,
     * AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    public io.mintonce.v1.GetUsageResponse getUsage(io.mintonce.v1.GetUsageRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetUsageMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service AdminService.
   * <pre>
   * For operators. Errors are sent as those of TokenService.
   * </pre>
   */
  public static final class AdminServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<AdminServiceBlockingStub> {
    private AdminServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Lists the live tokens in the store that the caller may administer, without their text.
     * Errors: INVALID_REQUEST, UNAUTHENTICATED, PERMISSION_DENIED, STORE_UNAVAILABLE, LIMIT_EXCEEDED, AUDIT_UNAVAILABLE,
     * INTERNAL.
     * </pre>
     */
    public io.mintonce.v1.ListTokensResponse listTokens(io.mintonce.v1.ListTokensRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListTokensMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Mints the successor of a key's token now. The current token is served until the successor is committed.
     * Errors: as TokenService.GetToken, and BUDGET_USED_UP. Do not retry automatically: each success mints.
     * </pre>
     */
    public io.mintonce.v1.RotateTokenResponse rotateToken(io.mintonce.v1.RotateTokenRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRotateTokenMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns what a client used in a month, counted for all replicas, and where that leads.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, STORE_UNAVAILABLE, LIMIT_EXCEEDED,
     * AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    public io.mintonce.v1.GetUsageResponse getUsage(io.mintonce.v1.GetUsageRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetUsageMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service AdminService.
   * <pre>
   * For operators. Errors are sent as those of TokenService.
   * </pre>
   */
  public static final class AdminServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<AdminServiceFutureStub> {
    private AdminServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Lists the live tokens in the store that the caller may administer, without their text.
     * Errors: INVALID_REQUEST, UNAUTHENTICATED, PERMISSION_DENIED, STORE_UNAVAILABLE, LIMIT_EXCEEDED, AUDIT_UNAVAILABLE,
     * INTERNAL.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.mintonce.v1.ListTokensResponse> listTokens(
        io.mintonce.v1.ListTokensRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListTokensMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Mints the successor of a key's token now. The current token is served until the successor is committed.
     * Errors: as TokenService.GetToken, and BUDGET_USED_UP. Do not retry automatically: each success mints.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.mintonce.v1.RotateTokenResponse> rotateToken(
        io.mintonce.v1.RotateTokenRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRotateTokenMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Returns what a client used in a month, counted for all replicas, and where that leads.
     * Errors: INVALID_REQUEST, UNKNOWN_CLIENT, UNAUTHENTICATED, PERMISSION_DENIED, STORE_UNAVAILABLE, LIMIT_EXCEEDED,
     * AUDIT_UNAVAILABLE, INTERNAL.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.mintonce.v1.GetUsageResponse> getUsage(
        io.mintonce.v1.GetUsageRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetUsageMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_LIST_TOKENS = 0;
  private static final int METHODID_ROTATE_TOKEN = 1;
  private static final int METHODID_GET_USAGE = 2;

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
        case METHODID_LIST_TOKENS:
          serviceImpl.listTokens((io.mintonce.v1.ListTokensRequest) request,
              (io.grpc.stub.StreamObserver<io.mintonce.v1.ListTokensResponse>) responseObserver);
          break;
        case METHODID_ROTATE_TOKEN:
          serviceImpl.rotateToken((io.mintonce.v1.RotateTokenRequest) request,
              (io.grpc.stub.StreamObserver<io.mintonce.v1.RotateTokenResponse>) responseObserver);
          break;
        case METHODID_GET_USAGE:
          serviceImpl.getUsage((io.mintonce.v1.GetUsageRequest) request,
              (io.grpc.stub.StreamObserver<io.mintonce.v1.GetUsageResponse>) responseObserver);
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
          getListTokensMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.mintonce.v1.ListTokensRequest,
              io.mintonce.v1.ListTokensResponse>(
                service, METHODID_LIST_TOKENS)))
        .addMethod(
          getRotateTokenMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.mintonce.v1.RotateTokenRequest,
              io.mintonce.v1.RotateTokenResponse>(
                service, METHODID_ROTATE_TOKEN)))
        .addMethod(
          getGetUsageMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.mintonce.v1.GetUsageRequest,
              io.mintonce.v1.GetUsageResponse>(
                service, METHODID_GET_USAGE)))
        .build();
  }

  private static abstract class AdminServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    AdminServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.mintonce.v1.Admin.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("AdminService");
    }
  }

  private static final class AdminServiceFileDescriptorSupplier
      extends AdminServiceBaseDescriptorSupplier {
    AdminServiceFileDescriptorSupplier() {}
  }

  private static final class AdminServiceMethodDescriptorSupplier
      extends AdminServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    AdminServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (AdminServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new AdminServiceFileDescriptorSupplier())
              .addMethod(getListTokensMethod())
              .addMethod(getRotateTokenMethod())
              .addMethod(getGetUsageMethod())
              .build();
        }
      }
    }
    return result;
  }
}
