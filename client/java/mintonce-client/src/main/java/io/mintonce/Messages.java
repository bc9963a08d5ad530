package io.mintonce;

import com.google.protobuf.ByteString;
import com.google.protobuf.Timestamp;
import io.mintonce.v1.GetTokenRequest;
import io.mintonce.v1.ListTokensRequest;
import io.mintonce.v1.ListTokensResponse;
import io.mintonce.v1.RejectTokenRequest;
import io.mintonce.v1.RotateTokenRequest;
import io.mintonce.v1.WatchTokenRequest;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Between the messages of {@code mintonce.v1} and our values. */
final class Messages {
  private static final double NANOS = 1e9;

  /** Seconds of a google.protobuf.Duration: ten thousand years. */
  private static final long LONGEST = 315_576_000_000L;

  /** Visible ASCII, of which the tokens of RFC 6750, section 2.1, are made. */
  private static final Pattern TEXT = Pattern.compile("[!-~]+");

  /** A token of RFC 9110, section 5.6.2. An empty one counts as Bearer. */
  private static final Pattern TYPE = Pattern.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]*");

  private Messages() {}

  static GetTokenRequest get(TokenKey key, @Nullable Duration minTtl) {
    GetTokenRequest.Builder request = GetTokenRequest.newBuilder().setKey(key(key));
    if (minTtl != null) {
      if (Math.abs(minTtl.getSeconds()) > LONGEST) {
        throw Errors.invalid("the minTtl is out of range", "Give at most " + LONGEST + " seconds.");
      }
      request.setMinTtl(
          com.google.protobuf.Duration.newBuilder()
              .setSeconds(minTtl.getSeconds())
              .setNanos(minTtl.getNano()));
    }
    return request.build();
  }

  static WatchTokenRequest watch(TokenKey key) {
    return WatchTokenRequest.newBuilder().setKey(key(key)).build();
  }

  static RejectTokenRequest reject(TokenKey key, long generation) {
    return RejectTokenRequest.newBuilder().setKey(key(key)).setGeneration(generation).build();
  }

  static RejectTokenRequest reject(TokenKey key, byte[] sha256) {
    return RejectTokenRequest.newBuilder()
        .setKey(key(key))
        .setAccessTokenSha256(ByteString.copyFrom(sha256))
        .build();
  }

  static ListTokensRequest list(String client, int pageSize, String pageToken) {
    return ListTokensRequest.newBuilder()
        .setClient(Text.check("client", client))
        .setPageSize(pageSize)
        .setPageToken(Text.check("page token", pageToken))
        .build();
  }

  static RotateTokenRequest rotate(TokenKey key) {
    return RotateTokenRequest.newBuilder().setKey(key(key)).build();
  }

  /**
   * {@code anchor}: when the call was sent, or for a pushed successor when it came. Throws
   * MintonceException for a token that no {@code Authorization} header can hold.
   */
  static Token token(io.mintonce.v1.Token message, double anchor) {
    if (!TEXT.matcher(message.getAccessToken()).matches()
        || !TYPE.matcher(message.getTokenType()).matches()) {
      throw Errors.unusableToken();
    }
    return new Token(
        message.getAccessToken(),
        message.getTokenType(),
        List.copyOf(message.getScopesList()),
        message.getGeneration(),
        anchor + seconds(message.getExpiresIn()),
        anchor + seconds(message.getRefreshIn()),
        instant(message.getExpireTime()),
        origin(message.getOrigin()),
        message.getDegraded());
  }

  static TokenPage page(ListTokensResponse response) {
    List<TokenSummary> tokens =
        response.getTokensList().stream()
            .map(
                each ->
                    new TokenSummary(
                        new TokenKey(
                            each.getKey().getClient(),
                            each.getKey().getAudience(),
                            List.copyOf(each.getKey().getScopesList())),
                        each.getGeneration(),
                        Clock.duration(seconds(each.getExpiresIn())),
                        Clock.duration(seconds(each.getRefreshIn())),
                        each.getKeyHash()))
            .toList();
    return new TokenPage(tokens, response.getNextPageToken(), response.getIncomplete());
  }

  private static io.mintonce.v1.TokenKey key(TokenKey key) {
    key.scopes().forEach(scope -> Text.check("scope", scope));
    return io.mintonce.v1.TokenKey.newBuilder()
        .setClient(Text.check("client", key.client()))
        .setAudience(Text.check("audience", key.audience()))
        .addAllScopes(key.scopes())
        .build();
  }

  private static double seconds(com.google.protobuf.Duration duration) {
    return duration.getSeconds() + duration.getNanos() / NANOS;
  }

  /** For people: what is out of range is shown as the end of time, and fails nothing. */
  private static Instant instant(Timestamp time) {
    try {
      return Instant.ofEpochSecond(time.getSeconds(), time.getNanos());
    } catch (DateTimeException | ArithmeticException e) {
      return time.getSeconds() < 0 ? Instant.MIN : Instant.MAX;
    }
  }

  private static Origin origin(io.mintonce.v1.Origin origin) {
    return switch (origin) {
      case ORIGIN_MEMORY -> Origin.MEMORY;
      case ORIGIN_STORE -> Origin.STORE;
      case ORIGIN_MINT -> Origin.MINT;
      default -> Origin.UNKNOWN;
    };
  }
}
