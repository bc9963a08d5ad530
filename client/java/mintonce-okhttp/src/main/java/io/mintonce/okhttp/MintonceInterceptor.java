package io.mintonce.okhttp;

import io.mintonce.MintonceException;
import io.mintonce.Token;
import io.mintonce.TokenSource;
import java.io.IOException;
import java.util.Objects;
import okhttp3.Interceptor;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;

/**
 * Sends requests of OkHttp with the source's token. After a 401 it rejects the token and sends the
 * request once more with the successor.
 *
 * <pre>{@code
 * OkHttpClient api = new OkHttpClient.Builder().addInterceptor(new MintonceInterceptor(source)).build();
 * }</pre>
 *
 * <p>Add it with {@code addInterceptor}, not {@code addNetworkInterceptor}. OkHttp takes the header
 * off when it follows a redirect to another host; a 401 from there says nothing about the token. A
 * request with a one-shot body is not sent again, but the token is rejected. If the rejection
 * fails, the caller gets the API's own 401, and {@code io.mintonce} logs one warning.
 */
public final class MintonceInterceptor implements Interceptor {
  private static final System.Logger LOG = System.getLogger("io.mintonce");
  private static final String AUTHORIZATION = "Authorization";
  private static final int UNAUTHORIZED = 401;

  private final TokenSource source;

  /**
   * Follows a source.
   *
   * @param source stays the caller's to close
   */
  public MintonceInterceptor(TokenSource source) {
    this.source = Objects.requireNonNull(source);
  }

  /**
   * {@inheritDoc}
   *
   * @throws IOException as OkHttp; also, with the {@link MintonceException} as its cause, if there
   *     is no token: OkHttp takes other exceptions for the end of its thread
   */
  @Override
  public Response intercept(Chain chain) throws IOException {
    Token token = token();
    Response response = chain.proceed(with(chain.request(), token));
    if (!wasRefused(response, token)) {
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
    RequestBody body = chain.request().body();
    if (body != null && (body.isOneShot() || body.isDuplex())) {
      return response;
    }
    response.close();
    return chain.proceed(with(chain.request(), successor));
  }

  private Token token() throws IOException {
    try {
      return source.get();
    } catch (MintonceException e) {
      throw new IOException(e.getMessage(), e);
    }
  }

  private static Request with(Request request, Token token) {
    return request.newBuilder().header(AUTHORIZATION, token.header()).build();
  }

  private static boolean wasRefused(Response response, Token token) {
    return response.code() == UNAUTHORIZED
        && token.header().equals(response.request().header(AUTHORIZATION));
  }
}
