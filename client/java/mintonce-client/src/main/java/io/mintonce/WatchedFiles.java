package io.mintonce;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.DoubleSupplier;

/**
 * A value made from files, made again when their content changes. Thread-safe.
 *
 * <p>Nothing watches in the background: who asks for the value looks, at most once a second. The
 * first load throws RefusedException; a later one that fails keeps the value and warns once, and
 * again only when the fault is another one.
 */
final class WatchedFiles<T> {
  /**
   * Seconds. Content is compared, not times: neither links that are swapped nor clocks mislead it.
   */
  private static final double LOOK_EVERY = 1;

  /** Bytes. The bundle of all public authorities takes a quarter of it. */
  private static final int LARGEST = 1 << 20;

  private static final System.Logger LOG = System.getLogger("io.mintonce");

  private final List<Path> paths;
  private final Loader<T> loader;
  private final DoubleSupplier clock;
  private final ReentrantLock looking = new ReentrantLock();
  private volatile T value;
  private volatile double lookAt;
  private byte[] digest;
  private String fault = "";

  WatchedFiles(List<Path> paths, String remedy, DoubleSupplier clock, Loader<T> loader) {
    this.paths = List.copyOf(paths);
    this.loader = loader;
    this.clock = clock;
    this.lookAt = clock.getAsDouble() + LOOK_EVERY;
    try {
      List<byte[]> contents = read();
      this.value = loader.load(contents);
      this.digest = digest(contents);
    } catch (FileFault e) {
      throw Errors.credentials(e.text(), e.remedy().isEmpty() ? remedy : e.remedy());
    }
  }

  /** Reads the files when the last look is a second old. */
  T current() {
    if (clock.getAsDouble() >= lookAt && looking.tryLock()) {
      try {
        if (clock.getAsDouble() >= lookAt) {
          look();
          lookAt = clock.getAsDouble() + LOOK_EVERY;
        }
      } finally {
        looking.unlock();
      }
    }
    return value;
  }

  private void look() {
    try {
      List<byte[]> contents = read();
      byte[] found = digest(contents);
      if (!MessageDigest.isEqual(found, digest)) {
        value = loader.load(contents);
        digest = found;
      }
      fault = "";
    } catch (FileFault e) {
      if (!e.text().equals(fault)) {
        LOG.log(System.Logger.Level.WARNING, "{0}; going on with what was there before", e.text());
      }
      fault = e.text();
    }
  }

  private List<byte[]> read() throws FileFault {
    List<byte[]> contents = new ArrayList<>();
    for (Path path : paths) {
      contents.add(read(path));
    }
    return contents;
  }

  private static byte[] read(Path path) throws FileFault {
    if (Misplaced.looksSecret(path.toString())) {
      throw new FileFault("what was given as a path is not a path: give the name of a file");
    }
    try {
      // Reading a pipe or a device could wait forever, or not work twice.
      if (Files.exists(path) && !Files.isRegularFile(path)) {
        throw new FileFault(path + " is not a regular file");
      }
      try (var stream = Files.newInputStream(path)) {
        byte[] content = stream.readNBytes(LARGEST + 1);
        if (content.length <= LARGEST) {
          return content;
        }
      }
      throw new FileFault(path + " has more than " + LARGEST + " bytes");
    } catch (IOException e) {
      throw new FileFault(path + " cannot be read: " + why(e));
    }
  }

  private static String why(IOException error) {
    if (error instanceof NoSuchFileException) {
      return "there is no such file";
    }
    return error instanceof AccessDeniedException
        ? "permission denied"
        : error.getClass().getSimpleName();
  }

  /** No secret is kept for the comparison alone. */
  private static byte[] digest(List<byte[]> contents) {
    try {
      MessageDigest sha256 = MessageDigest.getInstance("SHA-256");
      // Lengths, too: moving bytes from one file to the next is a change.
      contents.forEach(each -> sha256.update(ByteBuffer.allocate(4).putInt(each.length).array()));
      contents.forEach(sha256::update);
      return sha256.digest();
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("this Java has no SHA-256", e);
    }
  }

  /** Makes the value of the files' contents, in the order of the paths. */
  interface Loader<T> {
    T load(List<byte[]> contents) throws FileFault;
  }

  /** A file cannot be used. The text names it and never shows what is in it. */
  static final class FileFault extends Exception {
    private static final long serialVersionUID = 1;
    private final String text;
    private final String remedy;

    FileFault(String text) {
      this(text, "");
    }

    FileFault(String text, String remedy) {
      super(text);
      this.text = text;
      this.remedy = remedy;
    }

    String text() {
      return text;
    }

    /** "": the usual one. */
    String remedy() {
      return remedy;
    }
  }
}
