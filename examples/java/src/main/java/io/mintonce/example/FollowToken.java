package io.mintonce.example;

import io.mintonce.MintonceException;
import io.mintonce.Token;
import io.mintonce.TokenSource;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/**
 * Follows a shared token: prints the generation and the remaining life of each. The line "reject" on
 * standard input rejects the current one, as a service does after a 401; "quit" or the end of the input
 * ends the program.
 *
 * <p>Arguments: CLIENT AUDIENCE. The server is in MINTONCE_TARGET, credentials are in the other MINTONCE_
 * variables.
 */
public final class FollowToken {
  private FollowToken() {}

  public static void main(String[] arguments) throws IOException {
    if (arguments.length != 2) {
      System.err.println("usage: FollowToken CLIENT AUDIENCE");
      System.exit(2);
    }
    try (TokenSource source =
        TokenSource.builder(arguments[0]).audience(arguments[1]).open()) {
      print("token", source.get());
      source.onUpdate(token -> print("update", token));
      serve(source);
    } catch (MintonceException e) {
      System.err.println(e.getMessage());
      System.err.println(e.remedy());
      System.exit(1);
    }
  }

  private static void serve(TokenSource source) throws IOException {
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null && !line.equals("quit"); line = in.readLine()) {
      if (line.equals("reject")) {
        try {
          print("successor", source.reject(source.get()));
        } catch (MintonceException e) {
          System.out.println("not rejected: " + e.getMessage() + " (" + e.reason() + ")");
        }
      }
    }
  }

  private static void print(String what, Token token) {
    // Never the token itself.
    System.out.println(
        what + ": generation " + token.generation() + ", " + token.remaining().toSeconds() + " s");
  }
}
