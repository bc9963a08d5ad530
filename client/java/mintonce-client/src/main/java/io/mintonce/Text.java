package io.mintonce;

import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;

/** Text from or for another program. */
final class Text {
  private static final String CUT = "...";

  /** Characters of a name: of a client, a scope and the like. */
  private static final int LONGEST_NAME = 200;

  private Text() {}

  /**
   * The text with what a terminal would obey as escapes; cut to so many characters, with dots then.
   */
  static String visible(String text, int limit) {
    StringBuilder shown = new StringBuilder();
    for (int at = 0; at < text.length() && shown.length() <= limit; ) {
      int point = text.codePointAt(at);
      if (isPrintable(point)) {
        shown.appendCodePoint(point);
      } else {
        shown.append(String.format(Locale.ROOT, point < 0x100 ? "\\x%02x" : "\\u%04x", point));
      }
      at += Character.charCount(point);
    }
    return shown.length() <= limit
        ? shown.toString()
        : shown.substring(0, limit - CUT.length()) + CUT;
  }

  /** A name of another program, for people. */
  static String visible(String name) {
    return visible(name, LONGEST_NAME);
  }

  /** Names of another program, for people. */
  static List<String> visible(List<String> names) {
    return names.stream().map(Text::visible).toList();
  }

  /** The value, if it can be written in UTF-8. Throws RefusedException, without the value. */
  static String check(String what, String value) {
    try {
      StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(value));
    } catch (CharacterCodingException e) {
      throw Errors.invalid(
          "the " + what + " is not text in UTF-8", "Write the " + what + " as UTF-8.");
    }
    return value;
  }

  private static boolean isPrintable(int point) {
    if (point == ' ') {
      return true;
    }
    return switch (Character.getType(point)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.PRIVATE_USE,
          Character.UNASSIGNED,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR,
          Character.SPACE_SEPARATOR ->
          false;
      default -> true;
    };
  }
}
