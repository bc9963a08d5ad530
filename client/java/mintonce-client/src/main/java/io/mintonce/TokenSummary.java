package io.mintonce;

import java.time.Duration;

/**
 * A live token in the store, without its text.
 *
 * @param key what the token is for
 * @param generation as {@link Token#generation()}
 * @param expiresIn the remaining life as of the answer
 * @param refreshIn the time until the server mints a successor, as of the answer
 * @param keyHash the name of the key in the store and in logs
 */
public record TokenSummary(
    TokenKey key, long generation, Duration expiresIn, Duration refreshIn, String keyHash) {
  /** For people: what a terminal would obey is escaped. */
  @Override
  public String toString() {
    return "TokenSummary[key="
        + key
        + ", generation="
        + generation
        + ", expiresIn="
        + expiresIn
        + ", refreshIn="
        + refreshIn
        + ", keyHash="
        + Text.visible(keyHash)
        + "]";
  }
}
