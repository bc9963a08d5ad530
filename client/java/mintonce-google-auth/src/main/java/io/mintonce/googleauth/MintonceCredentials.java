package io.mintonce.googleauth;

import com.google.auth.Credentials;
import com.google.auth.RequestMetadataCallback;
import io.mintonce.MintonceException;
import io.mintonce.Token;
import io.mintonce.TokenSource;
import java.io.IOException;
import java.net.URI;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * Credentials for libraries that take those of google-auth, such as {@code HttpCredentialsAdapter}
 * and {@code MoreCallCredentials}. They hold no token of their own: each request reads the source.
 *
 * <p>They are not {@code OAuth2Credentials}: those keep a copy of the token, which would be used on
 * after a rejection. {@link #refresh()} rejects the token that was given last: libraries call it
 * after a 401, as often as they repeat a request.
 */
public final class MintonceCredentials extends Credentials {
  private static final long serialVersionUID = 1;

  private final transient TokenSource source;

  /**
   * What each thread was given last. Libraries ask for the header and call {@link #refresh()} in
   * the thread that makes the request: so a late 401 of one request does not count for the
   * successor that another one was given meanwhile.
   */
  @SuppressWarnings("ThreadLocalUsage") // not static: each source has tokens of its own
  private final transient ThreadLocal<Token> given = new ThreadLocal<>();

  /** What any thread was given last: for requests that are handed from one thread to another. */
  private transient volatile @Nullable Token lastGiven;

  /**
   * Follows a source.
   *
   * @param source stays the caller's to close
   */
  public MintonceCredentials(TokenSource source) {
    this.source = Objects.requireNonNull(source);
  }

  @Override
  public String getAuthenticationType() {
    return "OAuth2";
  }

  /**
   * {@inheritDoc}
   *
   * @throws IOException with the {@link MintonceException} as its cause, if there is no token
   */
  @Override
  public Map<String, List<String>> getRequestMetadata(@Nullable URI uri) throws IOException {
    try {
      return metadata(source.get());
    } catch (MintonceException e) {
      throw new IOException(e.getMessage(), e);
    }
  }

  @Override
  public void getRequestMetadata(
      @Nullable URI uri, Executor executor, RequestMetadataCallback callback) {
    source
        .getAsync()
        .whenCompleteAsync(
            (token, error) -> {
              if (error == null) {
                callback.onSuccess(metadata(token));
              } else {
                callback.onFailure(
                    error instanceof CompletionException && error.getCause() != null
                        ? error.getCause()
                        : error);
              }
            },
            executor);
  }

  @Override
  public boolean hasRequestMetadata() {
    return true;
  }

  @Override
  public boolean hasRequestMetadataOnly() {
    return true;
  }

  /**
   * Rejects the token that was given last, to this thread if there is one, and waits for its
   * successor.
   *
   * @throws IOException with the {@link MintonceException} as its cause, if there is none
   */
  @Override
  public void refresh() throws IOException {
    try {
      Token own = given.get();
      Token refused = own == null ? lastGiven : own;
      if (refused != null) {
        source.reject(refused);
      }
    } catch (MintonceException e) {
      throw new IOException(e.getMessage(), e);
    }
  }

  private Map<String, List<String>> metadata(Token token) {
    given.set(token);
    lastGiven = token;
    return Map.of("Authorization", List.of(token.header()));
  }

  // A source cannot be serialized: without this, a copy would fail at its first use.
  private void writeObject(java.io.ObjectOutputStream stream) throws IOException {
    throw new java.io.NotSerializableException(MintonceCredentials.class.getName());
  }
}
