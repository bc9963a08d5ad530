package io.mintonce;

import io.mintonce.testing.ScriptedServer;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;

/** A scripted server for each test, and a source's builder that knows it. */
abstract class SourceFixture {
  final ScriptedServer server = new ScriptedServer();

  @AfterEach
  void stop() {
    server.close();
  }

  TokenSource.Builder builder() {
    return TokenSource.builder("billing")
        .environment(Map.of())
        .audience("https://api.example.com/")
        .target(server.target());
  }
}
