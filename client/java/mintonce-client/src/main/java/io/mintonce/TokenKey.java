package io.mintonce;

import java.util.ArrayList;
import java.util.List;

/**
 * Names one shared token: all callers of the same key get the same token.
 *
 * @param client the name under which the OAuth client is registered with the server
 * @param audience the API that the token is for; "" for the issuer's default
 * @param scopes the scopes (RFC 6749, section 3.3), in any order; empty for the issuer's default. A
 *     text with spaces counts as several scopes
 */
public record TokenKey(String client, String audience, List<String> scopes) {
  /** Splits scopes at their spaces. */
  public TokenKey {
    scopes = split(scopes);
  }

  /**
   * A key with the issuer's default audience and scopes.
   *
   * @param client the name under which the OAuth client is registered with the server
   * @return the key
   */
  public static TokenKey of(String client) {
    return new TokenKey(client, "", List.of());
  }

  /**
   * A key.
   *
   * @param client the name under which the OAuth client is registered with the server
   * @param audience the API that the token is for
   * @param scopes the scopes, in any order
   * @return the key
   */
  public static TokenKey of(String client, String audience, String... scopes) {
    return new TokenKey(client, audience, List.of(scopes));
  }

  /** For people: what a terminal would obey is escaped. */
  @Override
  public String toString() {
    return "TokenKey[client="
        + Text.visible(client)
        + ", audience="
        + Text.visible(audience)
        + ", scopes="
        + Text.visible(scopes)
        + "]";
  }

  private static List<String> split(List<String> scopes) {
    List<String> split = new ArrayList<>();
    for (String scope : scopes) {
      for (String part : scope.trim().split("\\s+", -1)) {
        if (!part.isEmpty()) {
          split.add(part);
        }
      }
    }
    return List.copyOf(split);
  }
}
