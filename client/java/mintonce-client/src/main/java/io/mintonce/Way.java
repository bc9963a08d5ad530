package io.mintonce;

import java.nio.file.Path;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * How to reach the server.
 *
 * @param tls null: in clear
 * @param bearerFile null: none
 */
record Way(String target, @Nullable Tls tls, @Nullable Path bearerFile) {
  private static final Set<String> URL_SCHEMES = Set.of("http", "https", "grpc", "grpcs", "tcp");
  private static final int MAX_SHOWN = 100;

  /** Throws RefusedException for what cannot be used, or must not be. */
  static Way of(String target, @Nullable Tls tls, @Nullable Path bearerFile) {
    checkTarget(target);
    if (bearerFile != null && tls == null && !LocalTarget.isLocal(target)) {
      throw Errors.credentials(
          "a bearer would travel in clear to " + Text.visible(target, MAX_SHOWN),
          "Use TLS: set MINTONCE_CA_FILE (or MINTONCE_TLS=true for the authorities of this host), or"
              + " tls(…). In clear it goes only to a Unix socket or to loopback.");
    }
    return new Way(target, tls, bearerFile);
  }

  boolean isLocal() {
    return LocalTarget.isLocal(target);
  }

  private static void checkVisible(String target) {
    // What stands before an @ may be a password; only in the path of a socket it may not.
    if (Misplaced.looksSecret(target) || (target.contains("@") && !target.startsWith("unix:"))) {
      throw Errors.invalid(
          "the target is no address, and is not shown: it may hold a secret",
          "Write it as host:port, unix:PATH or dns:///host:port, without a user, a password or a key.");
    }
  }

  private static void checkTarget(String target) {
    Text.check("target", target);
    int end = target.indexOf("://");
    if (end < 0 || !URL_SCHEMES.contains(target.substring(0, end).toLowerCase(Locale.ROOT))) {
      checkVisible(target);
      return;
    }
    String scheme = target.substring(0, end);
    String rest = target.substring(end + 3);
    String host = rest.substring(0, rest.indexOf('/') < 0 ? rest.length() : rest.indexOf('/'));
    String tls =
        scheme.toLowerCase(Locale.ROOT).endsWith("s")
            ? " For TLS, set MINTONCE_CA_FILE or MINTONCE_TLS=true."
            : "";
    throw Errors.invalid(
        "the target has a URL's scheme: " + scheme + "://",
        "Write it without: "
            + Text.visible(host.substring(host.lastIndexOf('@') + 1), MAX_SHOWN)
            + "."
            + tls);
  }
}
