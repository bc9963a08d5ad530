package io.mintonce;

import org.jspecify.annotations.Nullable;

/** The client or source was used after {@code close()}, or closed during the call. */
public final class ClosedException extends MintonceException {
  private static final long serialVersionUID = 1;

  ClosedException(Detail detail, @Nullable Throwable cause) {
    super(detail, cause);
  }

  @Override
  ClosedException again() {
    return new ClosedException(detail(), this);
  }
}
