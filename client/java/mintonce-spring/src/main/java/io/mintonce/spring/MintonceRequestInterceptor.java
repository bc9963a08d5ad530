package io.mintonce.spring;

import io.mintonce.MintonceException;
import io.mintonce.Token;
import io.mintonce.TokenSource;
import java.io.IOException;
import java.util.Objects;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpRequest;
import org.springframework.http.HttpStatus;
import org.springframework.http.client.ClientHttpRequestExecution;
import org.springframework.http.client.ClientHttpRequestInterceptor;
import org.springframework.http.client.ClientHttpResponse;

/**
 * Sends requests of RestClient and RestTemplate with the source's token. After a 401 it rejects the
 * token and sends the request once more with the successor.
 *
 * <pre>{@code
 * RestClient api = RestClient.builder().requestInterceptor(new MintonceRequestInterceptor(source)).build();
 * }</pre>
 *
 * <p>Spring holds the body in memory for interceptors, so that it can be sent again. If the
 * rejection fails, the caller gets the API's own 401, and {@code io.mintonce} logs one warning.
 *
 * <p>Use a request factory that does not follow redirects. One that does may send the header on to
 * another host; and if it takes the header off, a 401 at the end of the redirects rejects the token
 * all the same. An interceptor sees neither. That of {@code new RestTemplate()} follows those of
 * GET. This one follows none, as long as the client's {@code followRedirects} is NEVER, its
 * default:
 *
 * <pre>{@code
 * RestClient.builder().requestFactory(new JdkClientHttpRequestFactory(HttpClient.newHttpClient()))
 * }</pre>
 *
 * <p>The builders that Spring Boot prepares follow redirects, unless {@code
 * spring.http.clients.redirects} (before Boot 4: {@code spring.http.client.redirects}) is {@code
 * dont-follow}.
 */
public final class MintonceRequestInterceptor implements ClientHttpRequestInterceptor {
  private static final System.Logger LOG = System.getLogger("io.mintonce");

  private final TokenSource source;

  /**
   * Follows a source.
   *
   * @param source stays the caller's to close
   */
  public MintonceRequestInterceptor(TokenSource source) {
    this.source = Objects.requireNonNull(source);
  }

  /**
   * {@inheritDoc}
   *
   * @throws MintonceException if there is no token
   */
  @Override
  public ClientHttpResponse intercept(
      HttpRequest request, byte[] body, ClientHttpRequestExecution execution) throws IOException {
    Token token = source.get();
    request.getHeaders().set(HttpHeaders.AUTHORIZATION, token.header());
    ClientHttpResponse response = execution.execute(request, body);
    // A later interceptor may have put other credentials in: then the 401 is not about our token.
    boolean ours = token.header().equals(request.getHeaders().getFirst(HttpHeaders.AUTHORIZATION));
    if (!ours || response.getStatusCode().value() != HttpStatus.UNAUTHORIZED.value()) {
      return response;
    }
    Token successor;
    try {
      successor = source.reject(token);
    } catch (MintonceException e) {
      LOG.log(
          System.Logger.Level.WARNING,
          "the API answered 401, and the token could not be replaced: {0} ({1})",
          e.getMessage(),
          e.reason());
      return response;
    }
    response.close();
    request.getHeaders().set(HttpHeaders.AUTHORIZATION, successor.header());
    return execution.execute(request, body);
  }
}
