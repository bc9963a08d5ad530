package io.mintonce;

import java.nio.file.Path;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * TLS to the server. All files are PEM. They are read again when a call is made, at most once a
 * second: a new certificate or CA gets a new connection, and calls under way end on the old one.
 */
public final class Tls {
  private final @Nullable Path caFile;
  private final @Nullable Path certificateFile;
  private final @Nullable Path keyFile;
  private final @Nullable String serverName;

  private Tls(Builder builder) {
    if (builder.keyFile != null && builder.certificateFile == null) {
      throw new IllegalArgumentException("Tls: keyFile needs certificateFile");
    }
    caFile = builder.caFile;
    certificateFile = builder.certificateFile;
    keyFile = builder.keyFile;
    serverName = builder.serverName;
  }

  /**
   * TLS with the authorities that this Java trusts, and without a certificate of the client's own.
   */
  public static Tls ofSystem() {
    return builder().build();
  }

  /** Starts with what {@link #ofSystem()} has. */
  public static Builder builder() {
    return new Builder();
  }

  @Nullable Path caFile() {
    return caFile;
  }

  @Nullable Path certificateFile() {
    return certificateFile;
  }

  @Nullable Path keyFile() {
    return keyFile;
  }

  @Nullable String serverName() {
    return serverName;
  }

  @Override
  public String toString() {
    return "Tls[caFile="
        + caFile
        + ", certificateFile="
        + certificateFile
        + ", keyFile="
        + keyFile
        + ", serverName="
        + serverName
        + "]";
  }

  /** Builds a {@link Tls}. Each part may be left out. */
  public static final class Builder {
    private @Nullable Path caFile;
    private @Nullable Path certificateFile;
    private @Nullable Path keyFile;
    private @Nullable String serverName;

    private Builder() {}

    /** The authorities that may vouch for the server. Default: those that this Java trusts. */
    public Builder caFile(Path caFile) {
      this.caFile = Objects.requireNonNull(caFile);
      return this;
    }

    /** The client's certificate and what leads to its authority. Default: it shows none. */
    public Builder certificateFile(Path certificateFile) {
      this.certificateFile = Objects.requireNonNull(certificateFile);
      return this;
    }

    /**
     * The key of that certificate: PKCS#8, not encrypted. Default: it is in the certificate's file.
     */
    public Builder keyFile(Path keyFile) {
      this.keyFile = Objects.requireNonNull(keyFile);
      return this;
    }

    /** The name in the server's certificate. Default: the host of the target. */
    public Builder serverName(String serverName) {
      this.serverName = Objects.requireNonNull(serverName);
      return this;
    }

    /**
     * Builds it. The files are not read yet.
     *
     * @throws IllegalArgumentException if there is a key without a certificate
     */
    public Tls build() {
      return new Tls(this);
    }
  }
}
