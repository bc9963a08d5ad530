package io.mintonce;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;

class TokenTest {
  @Test
  void itsPrintedFormIsOneVisibleLineWithoutTheText() {
    Token token =
        new Token(
            "secret",
            "Bearer\u001b[31m",
            List.of("read", "a\u001b[31m\nINJECTED"),
            1,
            Clock.now() + 60,
            Clock.now() + 50,
            Instant.EPOCH,
            Origin.MINT,
            false);
    String shown = token.toString();
    assertTrue(shown.contains("scopes=[read, a\\x1b[31m\\x0aINJECTED]"), shown);
    assertTrue(shown.codePoints().noneMatch(Character::isISOControl), shown);
    assertFalse(shown.contains("secret"), shown);
    assertEquals("a\u001b[31m\nINJECTED", token.scopes().get(1));
  }

  @Test
  void aPrintedListIsVisibleToo() {
    String evil = "a\u001b[31m\nINJECTED";
    TokenKey key = new TokenKey(evil, evil, List.of("a\u001b[31m"));
    TokenPage page =
        new TokenPage(
            List.of(new TokenSummary(key, 7, Duration.ofSeconds(60), Duration.ZERO, evil)),
            evil,
            false);
    String shown = page.toString();
    assertTrue(shown.contains("client=a\\x1b[31m\\x0aINJECTED"), shown);
    assertTrue(shown.contains("generation=7, expiresIn=PT1M"), shown);
    assertTrue(shown.codePoints().noneMatch(Character::isISOControl), shown);
  }
}
