package io.mintonce;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * How to connect to mintonced. What is not set here comes from the environment: {@code
 * MINTONCE_TARGET}, {@code MINTONCE_CA_FILE}, {@code MINTONCE_CERTIFICATE_FILE}, {@code
 * MINTONCE_KEY_FILE}, {@code MINTONCE_SERVER_NAME}, {@code MINTONCE_TLS}, {@code
 * MINTONCE_BEARER_FILE} and {@code MINTONCE_API_KEY_FILE}. An empty variable counts as not set.
 *
 * @param <B> the builder itself
 */
public abstract sealed class ConnectionBuilder<B extends ConnectionBuilder<B>>
    permits TokenClient.Builder, TokenSource.Builder {
  /** As long as the server allows a mint to take. */
  private static final Duration DEFAULT_TIMEOUT = Duration.ofSeconds(10);

  private @Nullable String target;
  private @Nullable Tls tls;
  private boolean plaintext;
  private @Nullable Path bearerFile;
  private boolean noBearer;
  private Duration timeout = DEFAULT_TIMEOUT;
  private Map<String, String> environment = System.getenv();

  ConnectionBuilder() {}

  abstract B self();

  /** {@code host:port}, {@code unix:PATH} or {@code dns:///host:port}. Default: 127.0.0.1:50051. */
  public B target(String target) {
    this.target = Objects.requireNonNull(target);
    return self();
  }

  /** Connects by TLS. */
  public B tls(Tls tls) {
    this.tls = Objects.requireNonNull(tls);
    this.plaintext = false;
    return self();
  }

  /** Connects in clear, whatever the environment says. */
  public B plaintext() {
    this.plaintext = true;
    this.tls = null;
    return self();
  }

  /**
   * A file that holds a bearer token and nothing else: a JWT, such as a projected token of
   * Kubernetes. In clear it goes only to a Unix socket or to loopback.
   */
  public B bearerFile(Path bearerFile) {
    return bearer(Objects.requireNonNull(bearerFile));
  }

  /** A file that holds an API key of mintonced and nothing else. As {@link #bearerFile}. */
  public B apiKeyFile(Path apiKeyFile) {
    return bearer(Objects.requireNonNull(apiKeyFile));
  }

  /** Sends no bearer and no API key, whatever the environment says. */
  public B noBearer() {
    this.noBearer = true;
    this.bearerFile = null;
    return self();
  }

  /**
   * How long a call may take, retries included. Default: 10 seconds. There is no way to wait
   * forever.
   *
   * @throws IllegalArgumentException if it is not positive
   */
  public B timeout(Duration timeout) {
    this.timeout = positive(timeout);
    return self();
  }

  private B bearer(Path file) {
    this.bearerFile = file;
    this.noBearer = false;
    return self();
  }

  /** For tests: instead of the environment of this process. */
  B environment(Map<String, String> environment) {
    this.environment = environment;
    return self();
  }

  Duration timeout() {
    return timeout;
  }

  /** Whether something was set that only an own connection can have. */
  boolean saysHowToConnect() {
    return target != null || tls != null || plaintext || bearerFile != null || noBearer;
  }

  Way way() {
    Environment environment = new Environment(this.environment);
    Tls tls = this.tls != null || plaintext ? this.tls : environment.tls();
    Path bearer = bearerFile != null || noBearer ? bearerFile : environment.bearerFile();
    return Way.of(environment.target(target), tls, bearer);
  }

  static Duration positive(Duration timeout) {
    if (timeout.isNegative() || timeout.isZero()) {
      throw new IllegalArgumentException("a timeout must be positive");
    }
    return timeout;
  }
}
