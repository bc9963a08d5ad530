package io.mintonce.http;

import io.mintonce.MintonceException;
import io.mintonce.Token;
import io.mintonce.TokenSource;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandler;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * Sends requests of an {@link HttpClient} with the source's token. After a 401 it rejects the token
 * and sends the request once more with the successor.
 *
 * <pre>{@code
 * AuthorizedHttpClient api = AuthorizedHttpClient.wrap(HttpClient.newHttpClient(), source);
 * HttpResponse<String> response = api.send(request, BodyHandlers.ofString());
 * }</pre>
 *
 * <p>A body of unknown length, such as an {@code InputStream}, may have been read: such a request
 * is not sent again, but the token is rejected. If the rejection fails, the caller gets the API's
 * own 401, and {@code io.mintonce} logs one warning.
 */
public final class AuthorizedHttpClient {
  private static final System.Logger LOG = System.getLogger("io.mintonce");
  private static final String AUTHORIZATION = "Authorization";
  private static final int UNAUTHORIZED = 401;
  private static final int MAX_REDIRECTS = 5;
  private static final int MAX_PORT = 65535;

  private final HttpClient client;
  private final TokenSource source;
  private final int redirects;

  private AuthorizedHttpClient(HttpClient client, TokenSource source, int redirects) {
    this.client = client;
    this.source = source;
    this.redirects = redirects;
  }

  /**
   * Authorizes the requests of a client.
   *
   * @param client sends the requests; stays the caller's. It must not follow redirects by itself:
   *     it would send the token to other hosts
   * @param source gives the token; stays the caller's to close
   * @return sends with the token
   * @throws IllegalArgumentException if the client follows redirects
   */
  public static AuthorizedHttpClient wrap(HttpClient client, TokenSource source) {
    if (client.followRedirects() != HttpClient.Redirect.NEVER) {
      throw new IllegalArgumentException(
          "the client follows redirects, and would send the token to other hosts:"
              + " leave its followRedirects at NEVER and use followingRedirects()");
    }
    return new AuthorizedHttpClient(client, Objects.requireNonNull(source), 0);
  }

  /**
   * The same, but it follows up to five redirects of GET and HEAD requests, without the token to
   * another host, and never from https to http. A redirect that it does not follow, such as one to
   * what is no http or https URI, is the response.
   *
   * @return sends with the token
   */
  public AuthorizedHttpClient followingRedirects() {
    return new AuthorizedHttpClient(client, source, MAX_REDIRECTS);
  }

  /**
   * As {@link HttpClient#send}.
   *
   * @param <T> the type of the body
   * @param request what to send; its Authorization header is replaced
   * @param handler makes the body
   * @return the response
   * @throws IOException as {@link HttpClient#send}
   * @throws InterruptedException if the thread is interrupted
   * @throws MintonceException if there is no token
   */
  public <T> HttpResponse<T> send(HttpRequest request, BodyHandler<T> handler)
      throws IOException, InterruptedException {
    HttpResponse<T> response = sendAuthorized(request, handler);
    for (int left = redirects; left > 0; left--) {
      Optional<URI> next = redirect(response);
      if (next.isEmpty()) {
        break;
      }
      discard(response);
      HttpRequest to =
          HttpRequest.newBuilder(request, (name, value) -> true).uri(next.get()).build();
      response =
          isSameHost(request.uri(), next.get())
              ? sendAuthorized(to, handler)
              : client.send(bare(to), handler);
    }
    return response;
  }

  /**
   * As {@link HttpClient#sendAsync(HttpRequest, BodyHandler)}.
   *
   * @param <T> the type of the body
   * @param request what to send; its Authorization header is replaced
   * @param handler makes the body
   * @return the response to come
   */
  public <T> CompletableFuture<HttpResponse<T>> sendAsync(
      HttpRequest request, BodyHandler<T> handler) {
    return sendAuthorizedAsync(request, handler)
        .thenCompose(response -> followAsync(request, response, handler, redirects));
  }

  private <T> HttpResponse<T> sendAuthorized(HttpRequest request, BodyHandler<T> handler)
      throws IOException, InterruptedException {
    Token token = source.get();
    HttpResponse<T> response = client.send(with(request, token), handler);
    if (response.statusCode() != UNAUTHORIZED) {
      return response;
    }
    Token successor;
    try {
      successor = source.reject(token);
    } catch (MintonceException e) {
      notReplaced(e);
      return response;
    }
    if (!canRepeat(request)) {
      return response;
    }
    discard(response);
    return client.send(with(request, successor), handler);
  }

  private <T> CompletableFuture<HttpResponse<T>> sendAuthorizedAsync(
      HttpRequest request, BodyHandler<T> handler) {
    return source
        .getAsync()
        .thenCompose(
            token ->
                client
                    .sendAsync(with(request, token), handler)
                    .thenCompose(
                        response ->
                            response.statusCode() == UNAUTHORIZED
                                ? repeatAsync(request, token, response, handler)
                                : CompletableFuture.completedFuture(response)));
  }

  private <T> CompletableFuture<HttpResponse<T>> repeatAsync(
      HttpRequest request, Token token, HttpResponse<T> response, BodyHandler<T> handler) {
    return source
        .rejectAsync(token)
        .thenApply(Optional::of)
        .exceptionally(
            error -> {
              Throwable cause = error instanceof CompletionException ? error.getCause() : error;
              if (cause instanceof MintonceException known) {
                notReplaced(known);
                return Optional.empty();
              }
              throw error instanceof CompletionException wrapped
                  ? wrapped
                  : new CompletionException(error);
            })
        .thenCompose(
            successor -> {
              if (successor.isEmpty() || !canRepeat(request)) {
                return CompletableFuture.completedFuture(response);
              }
              discard(response);
              return client.sendAsync(with(request, successor.get()), handler);
            });
  }

  private <T> CompletableFuture<HttpResponse<T>> followAsync(
      HttpRequest request, HttpResponse<T> response, BodyHandler<T> handler, int left) {
    Optional<URI> next = left > 0 ? redirect(response) : Optional.empty();
    if (next.isEmpty()) {
      return CompletableFuture.completedFuture(response);
    }
    discard(response);
    HttpRequest to = HttpRequest.newBuilder(request, (name, value) -> true).uri(next.get()).build();
    return (isSameHost(request.uri(), next.get())
            ? sendAuthorizedAsync(to, handler)
            : client.sendAsync(bare(to), handler))
        .thenCompose(following -> followAsync(request, following, handler, left - 1));
  }

  private static HttpRequest with(HttpRequest request, Token token) {
    return HttpRequest.newBuilder(request, (name, value) -> true)
        .setHeader(AUTHORIZATION, token.header())
        .build();
  }

  private static HttpRequest bare(HttpRequest request) {
    return HttpRequest.newBuilder(request, (name, value) -> !name.equalsIgnoreCase(AUTHORIZATION))
        .build();
  }

  /** Bodies of known length are made of what is at hand: they can be sent twice. */
  private static boolean canRepeat(HttpRequest request) {
    return request.bodyPublisher().orElseGet(BodyPublishers::noBody).contentLength() >= 0;
  }

  /** Where to go on, if anywhere. */
  private static Optional<URI> redirect(HttpResponse<?> response) {
    String method = response.request().method();
    boolean redirects =
        switch (response.statusCode()) {
          case 301, 302, 303, 307, 308 -> method.equals("GET") || method.equals("HEAD");
          default -> false;
        };
    URI from = response.request().uri();
    return redirects
        ? response
            .headers()
            .firstValue("Location")
            .flatMap(location -> resolve(from, location))
            .filter(to -> !"https".equals(scheme(from)) || "https".equals(scheme(to)))
        : Optional.empty();
  }

  /** The API chooses the Location: it may be anything. Empty for what cannot be asked by HTTP. */
  private static Optional<URI> resolve(URI from, String location) {
    if (location.isEmpty()) {
      return Optional.empty();
    }
    URI to;
    try {
      to = from.resolve(location);
    } catch (IllegalArgumentException e) {
      return Optional.empty();
    }
    boolean http = "http".equals(scheme(to)) || "https".equals(scheme(to));
    return http && to.getHost() != null && to.getPort() <= MAX_PORT
        ? Optional.of(to)
        : Optional.empty();
  }

  private static boolean isSameHost(URI one, URI other) {
    return scheme(one).equals(scheme(other))
        && String.valueOf(one.getHost()).equalsIgnoreCase(String.valueOf(other.getHost()))
        && one.getPort() == other.getPort();
  }

  private static String scheme(URI uri) {
    return String.valueOf(uri.getScheme()).toLowerCase(Locale.ROOT);
  }

  /** The connection of a body that is read later is free again when that body is closed. */
  private static void discard(HttpResponse<?> response) {
    if (response.body() instanceof AutoCloseable body) {
      try {
        body.close();
      } catch (Exception e) {
        LOG.log(System.Logger.Level.DEBUG, "a body could not be closed", e);
      }
    }
  }

  private static void notReplaced(MintonceException error) {
    LOG.log(
        System.Logger.Level.WARNING,
        "the API answered 401, and the token could not be replaced: {0} ({1})",
        error.getMessage(),
        error.reason());
  }
}
