package io.mintonce;

import org.jspecify.annotations.Nullable;

/**
 * The token of a source has ended or was rejected, and there is no successor. The cause says why.
 */
public final class TokenExpiredException extends UnavailableException {
  private static final long serialVersionUID = 1;

  TokenExpiredException(Detail detail, @Nullable Throwable cause) {
    super(detail, cause);
  }

  @Override
  TokenExpiredException again() {
    return new TokenExpiredException(detail(), this);
  }
}
