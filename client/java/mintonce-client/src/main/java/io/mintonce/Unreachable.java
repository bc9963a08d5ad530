package io.mintonce;

import io.grpc.Status;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Why there is no connection: gRPC says UNAVAILABLE for every cause, and a text that few can read.
 */
final class Unreachable {
  private static final int MAX_SHOWN = 300;
  private static final int MAX_CAUSES = 10;
  private static final String WHERE = " Set the target with MINTONCE_TARGET or target(…).";
  private static final String USE_TLS =
      " Use TLS: set MINTONCE_CA_FILE or MINTONCE_TLS=true, or tls(…).";

  private Unreachable() {}

  /** What is wrong, in a few words, and the remedy for it. */
  record Explanation(String why, String remedy) {}

  static Explanation explain(Status status, Link link) {
    String text = text(status);
    String low = text.toLowerCase(Locale.ROOT);
    if (has(low, "unresolvedaddress", "unknownhost", "unable to resolve host", "name resolution")) {
      return new Explanation("its name cannot be resolved", "Is the host name right?" + WHERE);
    }
    if (has(low, "connection refused", "no such file")) {
      return new Explanation("nothing listens there", notRunning(link));
    }
    if (has(
        low,
        "connection timed out",
        "connecttimeout",
        "network is unreachable",
        "no route to host")) {
      return new Explanation(
          "the network does not reach it", "Is a firewall between the two? " + notRunning(link));
    }
    Explanation found = ofCertificate(low, link);
    found = found == null ? ofTransport(low, link) : found;
    if (found != null) {
      return found;
    }
    return new Explanation(
        "the connection was lost ("
            + Text.visible(text.isEmpty() ? "no details" : text, MAX_SHOWN)
            + ")",
        "Call again: the server may be restarting. If it goes on: "
            + notRunning(link)
            + hint(link));
  }

  /** The server showed a certificate that does not do. */
  private static @Nullable Explanation ofCertificate(String text, Link link) {
    if (has(text, "no name matching", "no subject alternative", "hostname")) {
      String expected = link.serverName().isEmpty() ? "the target's host name" : link.serverName();
      return new Explanation(
          "its certificate is for another name",
          "The client expects "
              + expected
              + ". Use a target whose name the certificate has, or say what it is for:"
              + " MINTONCE_SERVER_NAME or Tls.builder().serverName(…).");
    }
    if (has(
        text, "certificateexpired", "certificate expired", "notafter", "validity check failed")) {
      return new Explanation(
          "its certificate, or that of its CA, has expired",
          "Renew it. Or is the clock of this host wrong?");
    }
    if (has(text, "certificatenotyetvalid", "notbefore")) {
      return new Explanation(
          "its certificate is not valid yet", "Is the clock of this host right?");
    }
    if (has(text, "certpath", "certification path", "pkix", "trustanchor", "unknown_ca")) {
      return new Explanation(
          "its certificate is not from a CA that this client trusts",
          "The server's certificate must be from the CA in MINTONCE_CA_FILE or"
              + " Tls.builder().caFile(…); else, from a CA that this Java trusts.");
    }
    return null;
  }

  /** The two ends speak something else. */
  private static @Nullable Explanation ofTransport(String text, Link link) {
    if (link.tls()
        && has(text, "not an ssl/tls record", "wrong_version_number", "record_overflow")) {
      return new Explanation(
          "it does not speak TLS",
          "The connection is TLS. Is this the right port? For a server in clear, unset"
              + " MINTONCE_CA_FILE and the like, or use plaintext().");
    }
    if (has(text, "dump for first 5 bytes: 1503", "dump for first 5 bytes: 1603")) {
      return new Explanation(
          "it speaks TLS", "The connection is in clear, and the server wants TLS." + USE_TLS);
    }
    if (has(text, "was not settings", "http/1.x", "alpn")) {
      return new Explanation(
          "it does not speak gRPC",
          "Is this the port of mintonced, and not of a web server?" + WHERE);
    }
    if (has(text, "sslexception", "sslhandshake", "closedchannel", "closed for unknown reason")) {
      return new Explanation("it closes the connection", hint(link).trim());
    }
    return null;
  }

  private static String notRunning(Link link) {
    return "Is mintonced running, and at " + link.target() + "?" + WHERE;
  }

  private static String hint(Link link) {
    if (!link.tls()) {
      return " The connection is in clear. Does the server speak TLS?" + USE_TLS;
    }
    return link.showsCertificate()
        ? " Is this client's certificate in date, and from a CA that the server trusts?"
        : " The client shows no certificate: if the server wants one, set MINTONCE_CERTIFICATE_FILE.";
  }

  /** The description and the causes: gRPC often says no more than "io exception" itself. */
  private static String text(Status status) {
    StringBuilder text = new StringBuilder();
    if (status.getDescription() != null) {
      text.append(status.getDescription());
    }
    Throwable cause = status.getCause();
    for (int depth = 0; cause != null && depth < MAX_CAUSES; depth++) {
      text.append(text.length() == 0 ? "" : "; ").append(cause.getClass().getSimpleName());
      if (cause.getMessage() != null) {
        text.append(": ").append(cause.getMessage());
      }
      cause = cause.getCause();
    }
    return text.toString();
  }

  private static boolean has(String text, String... parts) {
    return Set.of(parts).stream().anyMatch(text::contains);
  }
}
