package io.mintonce.testee;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonPrimitive;
import com.google.gson.JsonSerializer;
import io.mintonce.Token;
import io.mintonce.TokenClient;
import io.mintonce.TokenSource;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.text.MessageFormat;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.SimpleFormatter;
import org.jspecify.annotations.Nullable;

/** Every way in which Java turns things into text. */
final class Prints {
  private static final Gson REFLECTING =
      new GsonBuilder()
          .registerTypeAdapter(
              Instant.class,
              (JsonSerializer<Instant>) (at, type, context) -> new JsonPrimitive(at.toString()))
          .create();

  private Prints() {}

  static Map<String, String> of(
      TokenSource source, List<TokenClient> clients, @Nullable Throwable lastError) {
    Map<String, String> texts = new LinkedHashMap<>();
    Token token = source.token();
    all(texts, "token", token);
    texts.put("token.json", REFLECTING.toJson(token));
    texts.put("token.fields", fields(token));
    all(texts, "source", source);
    for (TokenClient client : clients) {
      all(texts, "client", client);
    }
    if (lastError != null) {
      all(texts, "error", lastError);
      StringWriter trace = new StringWriter();
      lastError.printStackTrace(new PrintWriter(trace, true));
      texts.put("error.trace", trace.toString());
      texts.put("error.message", String.valueOf(lastError.getMessage()));
    }
    return texts;
  }

  private static void all(Map<String, String> texts, String name, Object value) {
    texts.put(name + ".toString", value.toString());
    texts.put(name + ".format", String.format("%s %S", value, value));
    texts.put(name + ".messageFormat", MessageFormat.format("{0}", value));
    texts.put(name + ".optional", Optional.of(value).toString());
    texts.put(name + ".map", Map.of("value", List.of(value)).toString());
    LogRecord record = new LogRecord(Level.INFO, "{0}");
    record.setParameters(new Object[] {value});
    texts.put(name + ".log", new SimpleFormatter().format(record));
  }

  /** As debuggers and loggers that reflect show an object: what is transient they leave out. */
  private static String fields(Object value) {
    StringBuilder text = new StringBuilder();
    for (Field field : value.getClass().getDeclaredFields()) {
      if (!Modifier.isTransient(field.getModifiers()) && !Modifier.isStatic(field.getModifiers())) {
        try {
          field.setAccessible(true);
          text.append(field.getName()).append('=').append(field.get(value)).append(' ');
        } catch (ReflectiveOperationException e) {
          text.append(field.getName()).append("=? ");
        }
      }
    }
    return text.toString();
  }
}
