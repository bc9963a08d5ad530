package io.mintonce.bench;

import com.google.auth.oauth2.AccessToken;
import com.google.auth.oauth2.OAuth2Credentials;
import io.mintonce.TokenSource;
import io.mintonce.testing.ScriptedServer;
import java.io.IOException;
import java.net.URI;
import java.time.Instant;
import java.util.Collection;
import java.util.Date;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.VerboseMode;

/** What it costs to have the header's value at hand, against google-auth's OAuth2Credentials. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class ReadBenchmark {
  private ScriptedServer server;
  private TokenSource source;
  private OAuth2Credentials peer;
  private URI uri;

  /** A source and a peer that hold a live token. */
  @Setup
  public void open() {
    server = new ScriptedServer();
    source = TokenSource.builder("billing").target(server.target()).plaintext().noBearer().open();
    peer =
        OAuth2Credentials.create(
            new AccessToken("secret", Date.from(Instant.now().plusSeconds(7200))));
    uri = URI.create("https://api.example.com/");
  }

  @TearDown
  public void close() {
    source.close();
    server.close();
  }

  /** Ours. */
  @Benchmark
  public String source() {
    return source.get().header();
  }

  /** google-auth's. */
  @Benchmark
  public Map<String, List<String>> googleAuth() throws IOException {
    return peer.getRequestMetadata(uri);
  }

  /** The clock alone: no read that knows the time can cost less. */
  @Benchmark
  public long clock() {
    return System.nanoTime();
  }

  /** Prints one line of JSON. */
  public static void main(String[] arguments) throws RunnerException {
    Collection<RunResult> results =
        new Runner(
                new OptionsBuilder()
                    .include(ReadBenchmark.class.getName())
                    .verbosity(VerboseMode.SILENT)
                    .build())
            .run();
    System.out.printf(
        Locale.ROOT,
        "{\"language\": \"java\", \"read_ns\": %.1f, \"peer\": \"google-auth OAuth2Credentials\","
            + " \"peer_read_ns\": %.1f, \"clock_ns\": %.1f}%n",
        score(results, "source"),
        score(results, "googleAuth"),
        score(results, "clock"));
  }

  private static double score(Collection<RunResult> results, String name) {
    return results.stream()
        .filter(result -> result.getParams().getBenchmark().endsWith("." + name))
        .mapToDouble(result -> result.getPrimaryResult().getScore())
        .findFirst()
        .orElseThrow();
  }
}
