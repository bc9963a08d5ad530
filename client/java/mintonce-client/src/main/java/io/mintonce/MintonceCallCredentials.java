package io.mintonce;

import io.grpc.CallCredentials;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.SecurityLevel;
import io.grpc.Status;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.util.Objects;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * Authorizes calls of a gRPC API with the source's token.
 *
 * <pre>{@code
 * var stub = BillingGrpc.newBlockingStub(channel).withCallCredentials(new MintonceCallCredentials(source));
 * }</pre>
 *
 * <p>Reads memory only and never waits. The token goes over TLS, a Unix socket, or to a loopback
 * address under a loopback name; other calls fail with UNAUTHENTICATED before they are sent. After
 * an UNAUTHENTICATED of the API, call {@link TokenSource#reject(Token)} and then the API again.
 */
public final class MintonceCallCredentials extends CallCredentials {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  /** As gRPC asks the selector; there is no such host (RFC 2606). */
  private static final URI ANOTHER_HOST = URI.create("https://api.invalid:443");

  private final TokenSource source;

  /**
   * Credentials that follow a source.
   *
   * @param source stays the caller's to close
   */
  public MintonceCallCredentials(TokenSource source) {
    this.source = Objects.requireNonNull(source);
  }

  @Override
  public void applyRequestMetadata(
      RequestInfo request, Executor executor, MetadataApplier applier) {
    if (request.getSecurityLevel() != SecurityLevel.PRIVACY_AND_INTEGRITY
        && !staysOnThisHost(request)) {
      applier.fail(
          Status.UNAUTHENTICATED.withDescription(
              "the token would travel in clear to " + request.getAuthority() + ": use TLS"));
      return;
    }
    Metadata headers = new Metadata();
    try {
      headers.put(AUTHORIZATION, source.token().header());
    } catch (MintonceException e) {
      applier.fail(Status.UNAVAILABLE.withDescription(e.getMessage()).withCause(e));
      return;
    }
    applier.apply(headers);
  }

  private static boolean staysOnThisHost(RequestInfo request) {
    SocketAddress address = request.getTransportAttrs().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR);
    if (address instanceof InetSocketAddress inet) {
      // The address may be that of a proxy, which goes on to the authority's host. An authority has
      // no scheme of its own: "unix:80" would be a host.
      return inet.getAddress() != null
          && inet.getAddress().isLoopbackAddress()
          && LocalTarget.isLocal("dns:///" + request.getAuthority())
          && !isProxy(inet);
    }
    return isUnixSocket(address);
  }

  /**
   * Whether this is the proxy that calls to other hosts go through: an authority that the program
   * has overridden does not tell where a call goes. A {@code proxyDetector} of the channel's own
   * cannot be seen.
   */
  private static boolean isProxy(InetSocketAddress address) {
    ProxySelector selector = ProxySelector.getDefault();
    return selector != null
        && selector.select(ANOTHER_HOST).stream()
            .map(Proxy::address)
            .anyMatch(
                proxy ->
                    proxy instanceof InetSocketAddress inet
                        && inet.getPort() == address.getPort()
                        && new InetSocketAddress(inet.getHostString(), inet.getPort())
                            .equals(address));
  }

  /** Each transport has a class of its own for them, often in a package that was moved. */
  private static boolean isUnixSocket(@Nullable SocketAddress address) {
    return address != null && address.getClass().getSimpleName().startsWith("DomainSocketAddress");
  }
}
