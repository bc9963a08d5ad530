package io.mintonce.spring;

import io.mintonce.MintonceException;
import io.mintonce.Token;
import io.mintonce.TokenSource;
import java.util.Objects;
import java.util.Optional;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatus;
import org.springframework.web.reactive.function.client.ClientRequest;
import org.springframework.web.reactive.function.client.ClientResponse;
import org.springframework.web.reactive.function.client.ExchangeFilterFunction;
import org.springframework.web.reactive.function.client.ExchangeFunction;
import reactor.core.publisher.Mono;

/**
 * Sends requests of WebClient with the source's token. After a 401 it rejects the token and sends
 * the request once more with the successor. It never blocks.
 *
 * <pre>{@code
 * WebClient api = WebClient.builder().filter(new MintonceExchangeFilter(source)).build();
 * }</pre>
 *
 * <p>The body is made again by its inserter: bodies from a publisher must be ones that can be
 * subscribed to twice. If the rejection fails, the caller gets the API's own 401, and {@code
 * io.mintonce} logs one warning.
 *
 * <p>Use a connector that does not follow redirects: one that does may send the header on to
 * another host, and a filter does not see it. Those of the JDK and of Reactor Netty follow none by
 * themselves. Those that Spring Boot prepares, from 3.5 on, do, unless {@code
 * spring.http.clients.redirects} (before Boot 4: {@code spring.http.reactiveclient.redirects}) is
 * {@code dont-follow}.
 */
public final class MintonceExchangeFilter implements ExchangeFilterFunction {
  private static final System.Logger LOG = System.getLogger("io.mintonce");

  private final TokenSource source;

  /**
   * Follows a source.
   *
   * @param source stays the caller's to close
   */
  public MintonceExchangeFilter(TokenSource source) {
    this.source = Objects.requireNonNull(source);
  }

  @Override
  public Mono<ClientResponse> filter(ClientRequest request, ExchangeFunction next) {
    return Mono.fromFuture(source::getAsync)
        .flatMap(
            token ->
                next.exchange(with(request, token))
                    .flatMap(response -> answered(request, token, response, next)));
  }

  private Mono<ClientResponse> answered(
      ClientRequest request, Token token, ClientResponse response, ExchangeFunction next) {
    if (response.statusCode().value() != HttpStatus.UNAUTHORIZED.value()) {
      return Mono.just(response);
    }
    return Mono.fromFuture(() -> source.rejectAsync(token))
        .map(Optional::of)
        .onErrorResume(
            MintonceException.class,
            error -> {
              LOG.log(
                  System.Logger.Level.WARNING,
                  "the API answered 401, and the token could not be replaced: {0} ({1})",
                  error.getMessage(),
                  error.reason());
              return Mono.just(Optional.empty());
            })
        .flatMap(
            successor ->
                successor.isEmpty()
                    ? Mono.just(response)
                    : response.releaseBody().then(next.exchange(with(request, successor.get()))));
  }

  private static ClientRequest with(ClientRequest request, Token token) {
    return ClientRequest.from(request)
        .headers(headers -> headers.set(HttpHeaders.AUTHORIZATION, token.header()))
        .build();
  }
}
