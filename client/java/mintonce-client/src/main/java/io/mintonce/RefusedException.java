package io.mintonce;

import org.jspecify.annotations.Nullable;

/**
 * Refused. A retry fails, too, until the request, the policy or the client's registration is
 * corrected.
 */
public final class RefusedException extends MintonceException {
  private static final long serialVersionUID = 1;

  RefusedException(Detail detail, @Nullable Throwable cause) {
    super(detail, cause);
  }

  @Override
  RefusedException again() {
    return new RefusedException(detail(), this);
  }
}
