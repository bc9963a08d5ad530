package io.mintonce;

/**
 * What an error may say about a connection.
 *
 * @param serverName the name that the server's certificate must have, if it is not the target's; or
 *     ""
 * @param showsCertificate whether the client has a certificate of its own
 */
record Link(String target, boolean tls, String serverName, boolean showsCertificate) {
  static Link of(Way way) {
    Tls tls = way.tls();
    String name = tls == null || tls.serverName() == null ? "" : tls.serverName();
    return new Link(way.target(), tls != null, name, tls != null && tls.certificateFile() != null);
  }
}
