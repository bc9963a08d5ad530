package io.mintonce;

import io.grpc.ChannelCredentials;
import io.grpc.ConnectivityState;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** How a channel to mintonced is set up. */
final class Channels {
  private static final long KEEPALIVE_SECONDS = 60;
  private static final long KEEPALIVE_TIMEOUT_SECONDS = 5;
  private static final double RECONNECT_MIN = 0.1;
  private static final double RECONNECT_MAX = 5;
  private static final String USER_AGENT = "mintonce-java/" + version();

  private Channels() {}

  /** Throws RefusedException for a target that gRPC does not know. Null credentials: in clear. */
  static ManagedChannel open(Way way, @Nullable ChannelCredentials credentials) {
    ManagedChannelBuilder<?> builder;
    try {
      builder =
          Grpc.newChannelBuilder(
              target(way.target()),
              credentials == null ? InsecureChannelCredentials.create() : credentials);
      builder
          .disableServiceConfigLookUp()
          .defaultServiceConfig(SERVICE_CONFIG)
          // All addresses of the name are used in turn: replicas share the load, and a call whose
          // replica has gone has others.
          .defaultLoadBalancingPolicy("round_robin")
          // A watch may be silent for a day: pings show when it is dead. mintonced allows them each
          // 10 seconds.
          .keepAliveTime(KEEPALIVE_SECONDS, TimeUnit.SECONDS)
          .keepAliveTimeout(KEEPALIVE_TIMEOUT_SECONDS, TimeUnit.SECONDS)
          .userAgent(USER_AGENT);
      if (way.tls() != null && way.tls().serverName() != null) {
        builder.overrideAuthority(way.tls().serverName());
      }
      if (way.tls() == null && way.isLocal()) {
        // A proxy would lead even loopback, and a bearer with it, to another host.
        builder.proxyDetector(address -> null);
      }
      ManagedChannel channel = builder.build();
      new Reconnector(channel).look();
      return channel;
    } catch (IllegalArgumentException e) {
      throw Errors.invalid(
          "gRPC cannot use the target " + Text.visible(way.target(), MAX_SHOWN),
          "Write it as host:port, unix:PATH or dns:///host:port.");
    }
  }

  private static final int MAX_SHOWN = 100;

  /**
   * Retries cover a replica that goes away: a second is enough for another one to answer.
   * RotateToken is not among them: each one mints. CANCELLED is what a server says that is flooded
   * and drops calls before it has looked at them; calls that the caller cancels are not repeated.
   * No "timeout" in here, ever.
   */
  private static final Map<String, ?> SERVICE_CONFIG =
      Map.of(
          "methodConfig",
          List.of(
              Map.of(
                  "name",
                  List.of(
                      Map.of("service", "mintonce.v1.TokenService"),
                      Map.of("service", "mintonce.v1.AdminService", "method", "ListTokens")),
                  "retryPolicy",
                  Map.of(
                      "maxAttempts",
                      4.0,
                      "initialBackoff",
                      "0.1s",
                      "maxBackoff",
                      "1s",
                      "backoffMultiplier",
                      2.0,
                      "retryableStatusCodes",
                      List.of("UNAVAILABLE", "CANCELLED")))),
          // A client all of whose calls fail stops repeating them.
          "retryThrottling",
          Map.of("maxTokens", 10.0, "tokenRatio", 0.5));

  /**
   * gRPC for Java has no resolver for ipv4: and ipv6:, which the clients of other languages take.
   */
  private static String target(String target) {
    boolean literal = target.startsWith("ipv4:") || target.startsWith("ipv6:");
    return literal && !target.contains(",")
        ? "dns:///" + target.substring("ipv4:".length())
        : target;
  }

  private static String version() {
    try (InputStream stream = Channels.class.getResourceAsStream("version.properties")) {
      Properties properties = new Properties();
      if (stream != null) {
        properties.load(stream);
      }
      return properties.getProperty("version", "unknown");
    } catch (IOException e) {
      return "unknown";
    }
  }

  /**
   * Connects again within five seconds, as the clients of other languages do: gRPC for Java waits
   * up to two minutes and has no option for it, but can be told to try now.
   */
  private static final class Reconnector {
    private final ManagedChannel channel;
    private int tries;

    Reconnector(ManagedChannel channel) {
      this.channel = channel;
    }

    void look() {
      ConnectivityState state = channel.getState(false);
      switch (state) {
        case SHUTDOWN -> {}
        case TRANSIENT_FAILURE -> {
          double wait = Math.min(RECONNECT_MAX, RECONNECT_MIN * Math.pow(2, tries));
          tries++;
          Background.after(
              wait * ThreadLocalRandom.current().nextDouble(0.5, 1),
              () -> {
                if (channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
                  channel.resetConnectBackoff();
                }
                look();
              });
        }
        default -> {
          tries = state == ConnectivityState.READY ? 0 : tries;
          channel.notifyWhenStateChanged(state, this::look);
        }
      }
    }
  }
}
