package io.mintonce;

import io.mintonce.WatchedFiles.FileFault;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.function.DoubleSupplier;
import java.util.regex.Pattern;

/** The value of the {@code authorization} metadata, from a file. */
final class Bearers {
  /** RFC 6750, section 2.1. JWTs (RFC 7515) and the API keys of mintonced are such. */
  private static final Pattern TEXT = Pattern.compile("[A-Za-z0-9._~+/-]+=*");

  /** Bytes: what gRPC servers take as metadata by default. */
  private static final int LONGEST = 8192;

  private static final String REMEDY =
      "The file must hold one bearer token or API key and nothing else: see MINTONCE_BEARER_FILE and"
          + " MINTONCE_API_KEY_FILE, or bearerFile(…) and apiKeyFile(…).";

  private Bearers() {}

  static WatchedFiles<String> watch(Path path, DoubleSupplier clock) {
    return new WatchedFiles<>(
        List.of(path), REMEDY, clock, contents -> authorization(contents.get(0), path));
  }

  private static String authorization(byte[] content, Path path) throws FileFault {
    String text = new String(content, StandardCharsets.ISO_8859_1).trim();
    if (text.isEmpty()) {
      throw new FileFault(path + " is empty");
    }
    if (text.length() > LONGEST) {
      throw new FileFault(path + " has more than " + LONGEST + " bytes");
    }
    if (!TEXT.matcher(text).matches()) {
      throw new FileFault(
          path + " holds something else than one bearer token (RFC 6750, section 2.1)");
    }
    return "Bearer " + text;
  }
}
