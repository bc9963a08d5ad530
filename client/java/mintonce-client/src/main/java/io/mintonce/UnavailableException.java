package io.mintonce;

import org.jspecify.annotations.Nullable;

/** There is no token now; a later try may succeed. */
public class UnavailableException extends MintonceException {
  private static final long serialVersionUID = 1;

  UnavailableException(Detail detail, @Nullable Throwable cause) {
    super(detail, cause);
  }

  @Override
  UnavailableException again() {
    return new UnavailableException(detail(), this);
  }
}
