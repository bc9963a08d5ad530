package io.mintonce;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A live access token. Immutable, and equal by value.
 *
 * <p>Only {@link #accessToken()} and {@link #header()} give the secret text. {@link #toString()}
 * masks it, and libraries that write objects by their fields leave it out. A token cannot be
 * serialized.
 *
 * <p>Its life is counted on the monotonic clock from before the call was sent: it never ends too
 * late, whatever the wall clock of this host says.
 */
public final class Token {
  // Transient: libraries that print or serialize by reflection, such as Gson, skip the secret.
  private final transient String accessToken;
  private final transient String header;
  private final String tokenType;
  private final List<String> scopes;
  private final long generation;
  private final double expiresAt;
  private final double refreshAt;
  private final long liveUntil;
  private final Instant expireTime;
  private final Origin origin;
  private final boolean degraded;

  /** {@code expiresAt} and {@code refreshAt}: seconds of {@link Clock}. */
  Token(
      String accessToken,
      String tokenType,
      List<String> scopes,
      long generation,
      double expiresAt,
      double refreshAt,
      Instant expireTime,
      Origin origin,
      boolean degraded) {
    this.accessToken = accessToken;
    this.tokenType = tokenType;
    this.scopes = List.copyOf(scopes);
    this.generation = generation;
    this.expiresAt = expiresAt;
    this.refreshAt = refreshAt;
    this.liveUntil = Clock.nanoTimeAt(expiresAt);
    this.expireTime = expireTime;
    this.origin = origin;
    this.degraded = degraded;
    this.header = scheme(tokenType) + " " + accessToken;
  }

  /** The secret text (RFC 6750). Do not log it. */
  public String accessToken() {
    return accessToken;
  }

  /** The value of an {@code Authorization} header, normally "Bearer …". Secret. */
  public String header() {
    return header;
  }

  /** The type as the issuer named it, normally "Bearer". */
  public String tokenType() {
    return tokenType;
  }

  /** The scopes that the issuer granted, sorted. */
  public List<String> scopes() {
    return scopes;
  }

  /** Rises with every new token of the key, across the fleet. Not consecutive. */
  public long generation() {
    return generation;
  }

  /** The remaining life. Negative after the end. */
  public Duration remaining() {
    return Clock.duration(expiresAt - Clock.now());
  }

  /** The time until the server mints a successor. Negative when that is due. */
  public Duration refreshIn() {
    return Clock.duration(refreshAt - Clock.now());
  }

  /** Whether the token may still be used. */
  public boolean isLive() {
    return System.nanoTime() - liveUntil < 0;
  }

  /** The expiry by the clock of the store. For people; use {@link #remaining()} to decide. */
  public Instant expireTime() {
    return expireTime;
  }

  /** Where the server had the token from. */
  public Origin origin() {
    return origin;
  }

  /** Live, but with less life left than the server wants: the issuer or the store is in trouble. */
  public boolean isDegraded() {
    return degraded;
  }

  /** The SHA-256 of the text, 32 bytes. Tells tokens apart without showing them. */
  public byte[] fingerprint() {
    try {
      return MessageDigest.getInstance("SHA-256")
          .digest(accessToken.getBytes(StandardCharsets.UTF_8));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("this Java has no SHA-256", e);
    }
  }

  double expiresAt() {
    return expiresAt;
  }

  double refreshAt() {
    return refreshAt;
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof Token that
        && generation == that.generation
        && expiresAt == that.expiresAt
        && refreshAt == that.refreshAt
        && degraded == that.degraded
        && origin == that.origin
        && accessToken.equals(that.accessToken)
        && tokenType.equals(that.tokenType)
        && scopes.equals(that.scopes)
        && expireTime.equals(that.expireTime);
  }

  @Override
  public int hashCode() {
    return Objects.hash(generation, expiresAt, accessToken);
  }

  /** For people: not the text. What a terminal would obey is escaped. */
  @Override
  public String toString() {
    return "Token[accessToken=[redacted], generation="
        + generation
        + ", remaining="
        + remaining().toSeconds()
        + "s, scopes="
        + Text.visible(scopes)
        + ", origin="
        + origin
        + ", degraded="
        + degraded
        + "]";
  }

  // Servers compare the scheme without regard to case (RFC 9110, section 11.1), but not all know
  // that.
  private static String scheme(String type) {
    return type.isEmpty() || type.toLowerCase(Locale.ROOT).equals("bearer") ? "Bearer" : type;
  }
}
