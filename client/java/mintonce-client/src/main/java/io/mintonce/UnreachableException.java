package io.mintonce;

import org.jspecify.annotations.Nullable;

/** No server answered at the target. */
public final class UnreachableException extends UnavailableException {
  private static final long serialVersionUID = 1;

  UnreachableException(Detail detail, @Nullable Throwable cause) {
    super(detail, cause);
  }

  @Override
  UnreachableException again() {
    return new UnreachableException(detail(), this);
  }
}
