package io.mintonce;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.EquivalentAddressGroup;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.NameResolverRegistry;
import io.grpc.StatusOr;
import io.mintonce.testing.ScriptedServer;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** A target with several addresses. */
class BalancingTest {
  private static final TokenKey KEY = TokenKey.of("billing");

  @Test
  void callsAreSpreadOverAllReplicasAndLeaveOneThatEnds() throws Exception {
    try (ScriptedServer one = new ScriptedServer();
        ScriptedServer other = new ScriptedServer()) {
      NameResolverRegistry.getDefaultRegistry().register(new Names(one.target(), other.target()));
      try (TokenClient client =
          TokenClient.builder().environment(Map.of()).target("replicas:///all").build()) {
        for (int asked = 0; one.gets.get() == 0 || other.gets.get() == 0; asked++) {
          assertTrue(asked < 1000, "one replica has all calls");
          client.get(KEY);
        }
        one.close();
        for (int asked = 0; asked < 20; asked++) {
          assertTrue(client.get(KEY).isLive());
        }
      }
    }
  }

  /** A name with several addresses. */
  private static final class Names extends NameResolverProvider {
    private final List<EquivalentAddressGroup> addresses;

    Names(String... targets) {
      addresses =
          Stream.of(targets)
              .map(target -> target.split(":"))
              .map(parts -> new InetSocketAddress(parts[0], Integer.parseInt(parts[1])))
              .map(EquivalentAddressGroup::new)
              .toList();
    }

    @Override
    protected boolean isAvailable() {
      return true;
    }

    @Override
    protected int priority() {
      return 5;
    }

    @Override
    public String getDefaultScheme() {
      return "replicas";
    }

    @Override
    public @org.jspecify.annotations.Nullable NameResolver newNameResolver(
        URI target, NameResolver.Args args) {
      if (!"replicas".equals(target.getScheme())) {
        return null;
      }
      return new NameResolver() {
        @Override
        public String getServiceAuthority() {
          return "localhost";
        }

        @Override
        public void start(Listener2 listener) {
          listener.onResult(
              ResolutionResult.newBuilder()
                  .setAddressesOrError(StatusOr.fromValue(addresses))
                  .build());
        }

        @Override
        public void shutdown() {}
      };
    }
  }
}
