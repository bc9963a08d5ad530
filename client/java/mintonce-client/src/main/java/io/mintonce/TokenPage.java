package io.mintonce;

import java.util.List;

/**
 * A page of the list of live tokens, sorted by client, audience and scopes.
 *
 * @param tokens the tokens of this page
 * @param nextPageToken gives the next page; "" on the last one
 * @param incomplete whether a part of the store could not be reached: its tokens are missing
 */
public record TokenPage(List<TokenSummary> tokens, String nextPageToken, boolean incomplete) {
  /** Copies the list. */
  public TokenPage {
    tokens = List.copyOf(tokens);
  }

  /** For people: what a terminal would obey is escaped. */
  @Override
  public String toString() {
    return "TokenPage[tokens="
        + tokens
        + ", nextPageToken="
        + Text.visible(nextPageToken)
        + ", incomplete="
        + incomplete
        + "]";
  }
}
