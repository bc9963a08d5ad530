package io.mintonce.testee;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;

/** What the client logs at the level of a warning or above. */
final class Warnings extends Handler {
  private final List<String> texts = new CopyOnWriteArrayList<>();

  /** Kept: java.util.logging forgets loggers that nobody holds. */
  private final Logger logger = Logger.getLogger("io.mintonce");

  Warnings() {
    setFormatter(new SimpleFormatter());
    logger.addHandler(this);
  }

  List<String> texts() {
    return texts;
  }

  @Override
  public void publish(LogRecord record) {
    if (record.getLevel().intValue() >= Level.WARNING.intValue()) {
      texts.add(getFormatter().formatMessage(record));
    }
  }

  @Override
  public void flush() {}

  @Override
  public void close() {}
}
