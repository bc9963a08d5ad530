package io.mintonce;

import java.util.regex.Pattern;

/**
 * A secret that was given where the name of its file, or a target, belongs. No message may show it.
 */
final class Misplaced {
  /** An API key of mintonced, a JWT, PEM, or what no path and no target has: a line that ends. */
  private static final Pattern SECRET =
      Pattern.compile("^mok_|^eyJ|-----BEGIN|PRIVATE KEY|\\p{Cntrl}");

  private Misplaced() {}

  /** Whether it may be a key or a token. */
  static boolean looksSecret(String text) {
    return SECRET.matcher(text).find();
  }
}
