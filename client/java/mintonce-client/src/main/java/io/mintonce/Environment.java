package io.mintonce;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The MINTONCE_ variables. An empty one counts as not set. */
final class Environment {
  private static final String TARGET = "MINTONCE_TARGET";
  private static final String CA_FILE = "MINTONCE_CA_FILE";
  private static final String CERTIFICATE_FILE = "MINTONCE_CERTIFICATE_FILE";
  private static final String KEY_FILE = "MINTONCE_KEY_FILE";
  private static final String SERVER_NAME = "MINTONCE_SERVER_NAME";
  private static final String TLS = "MINTONCE_TLS";
  private static final String BEARER_FILE = "MINTONCE_BEARER_FILE";
  private static final String API_KEY_FILE = "MINTONCE_API_KEY_FILE";

  private static final String DEFAULT_TARGET = "127.0.0.1:50051";
  private static final Set<String> TRUE = Set.of("1", "true", "yes", "on");
  private static final Set<String> FALSE = Set.of("0", "false", "no", "off");

  private final Map<String, String> variables;

  Environment(Map<String, String> variables) {
    this.variables = variables;
  }

  String target(@Nullable String given) {
    String set = given == null || given.isEmpty() ? get(TARGET) : given;
    return set == null ? DEFAULT_TARGET : set;
  }

  /** Null: the environment does not ask for TLS. Throws RefusedException for a contradiction. */
  @Nullable Tls tls() {
    Boolean wanted = wanted();
    String given = null;
    for (String name : List.of(CA_FILE, CERTIFICATE_FILE, KEY_FILE, SERVER_NAME)) {
      given = given == null && get(name) != null ? name : given;
    }
    if (Boolean.FALSE.equals(wanted) && given != null) {
      throw Errors.credentials(TLS + " says no, but " + given + " is set", "Unset one of them.");
    }
    if (given == null && !Boolean.TRUE.equals(wanted)) {
      return null;
    }
    Path ca = path(CA_FILE);
    Path certificate = path(CERTIFICATE_FILE);
    Path key = path(KEY_FILE);
    String name = get(SERVER_NAME);
    if (key != null && certificate == null) {
      throw Errors.credentials(
          KEY_FILE + " is set without " + CERTIFICATE_FILE, "Set both, or neither.");
    }
    Tls.Builder tls = io.mintonce.Tls.builder();
    if (ca != null) {
      tls.caFile(ca);
    }
    if (certificate != null) {
      tls.certificateFile(certificate);
    }
    if (key != null) {
      tls.keyFile(key);
    }
    if (name != null) {
      tls.serverName(name);
    }
    return tls.build();
  }

  /** Null: none. Throws RefusedException when both variables are set. */
  @Nullable Path bearerFile() {
    Path bearer = path(BEARER_FILE);
    Path key = path(API_KEY_FILE);
    if (bearer != null && key != null) {
      throw Errors.credentials(
          BEARER_FILE + " and " + API_KEY_FILE + " are both set",
          "A call has one identity: set one of them.");
    }
    return bearer == null ? key : bearer;
  }

  private @Nullable Boolean wanted() {
    String text = get(TLS);
    if (text == null) {
      return null;
    }
    String word = text.toLowerCase(Locale.ROOT);
    if (TRUE.contains(word) || FALSE.contains(word)) {
      return TRUE.contains(word);
    }
    throw Errors.credentials(TLS + " is neither true nor false", "Set it to true, or unset it.");
  }

  private @Nullable Path path(String name) {
    String text = get(name);
    try {
      return text == null ? null : Path.of(text);
    } catch (InvalidPathException e) {
      throw Errors.credentials(name + " is not the path of a file", "Correct it, or unset it.");
    }
  }

  private @Nullable String get(String name) {
    String value = variables.get(name);
    return value == null || value.isEmpty() ? null : value;
  }
}
