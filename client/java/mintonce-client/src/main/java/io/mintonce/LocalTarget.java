package io.mintonce;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;

/** Whether a gRPC target stays on this host: only then may a bearer travel in clear. */
final class LocalTarget {
  private static final List<String> UNIX = List.of("unix:", "unix-abstract:");
  private static final List<String> SCHEMES = List.of("dns:", "ipv4:", "ipv6:");

  /** 127.0.0.0/8, each number in its plain form. */
  private static final Pattern LOOPBACK_V4 =
      Pattern.compile("127(\\.(0|[1-9]\\d?|1\\d\\d|2[0-4]\\d|25[0-5])){3}");

  private static final Pattern V6_LITERAL = Pattern.compile("[0-9a-fA-F.]*:[0-9a-fA-F:.]*");

  private LocalTarget() {}

  /** What is not understood counts as remote. */
  static boolean isLocal(String target) {
    if (UNIX.stream().anyMatch(target::startsWith)) {
      return true;
    }
    // dns://SERVER/NAME names a name server that could be anywhere; dns:///NAME does not.
    String rest = target;
    for (String scheme : SCHEMES) {
      if (target.startsWith(scheme)) {
        rest = target.substring(scheme.length());
        break;
      }
    }
    if (rest.startsWith("///")) {
      rest = rest.substring(3);
    }
    if (rest.isEmpty()) {
      return false;
    }
    for (String address : rest.split(",", -1)) {
      if (!isLoopback(host(address))) {
        return false;
      }
    }
    return true;
  }

  private static boolean isLoopback(String host) {
    return host.toLowerCase(Locale.ROOT).equals("localhost")
        || LOOPBACK_V4.matcher(host).matches()
        || (V6_LITERAL.matcher(host).matches() && isLoopbackLiteral(host));
  }

  private static boolean isLoopbackLiteral(String host) {
    try {
      // No name server is asked for a literal: one that is malformed fails at once.
      return InetAddress.getByName("[" + host + "]").isLoopbackAddress();
    } catch (UnknownHostException e) {
      return false;
    }
  }

  private static String host(String address) {
    if (address.contains("@")) {
      return ""; // The host is what follows the "@", whatever comes before it.
    }
    if (address.startsWith("[")) {
      int end = address.indexOf(']');
      boolean plain = end > 0 && (end == address.length() - 1 || address.charAt(end + 1) == ':');
      return plain ? address.substring(1, end) : "";
    }
    int colon = address.indexOf(':');
    return colon >= 0 && colon == address.lastIndexOf(':') ? address.substring(0, colon) : address;
  }
}
