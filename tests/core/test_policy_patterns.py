"""Patterns: what they match, what they are not allowed to match, and how much work they may cause."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.core.patterns import MAX_PATTERN, Pattern, Patterns, pattern_fault

LETTERS = "ab/:"


def naive(pattern: str, text: str) -> bool:
    """The definition, tried in every way."""
    if pattern == "*":
        return True
    if not pattern:
        return not text
    if pattern.startswith("**"):
        return any(naive_rest(pattern[2:], text[end:]) for end in range(len(text) + 1))
    if pattern.startswith("*"):
        ends = (end for end in range(len(text) + 1) if not set(text[:end]) & set("/:"))
        return any(naive_rest(pattern[1:], text[end:]) for end in ends)
    return text[:1] == pattern[0] and naive_rest(pattern[1:], text[1:])


def naive_rest(pattern: str, text: str) -> bool:
    """A `*` that is left over is no longer a pattern of its own."""
    return not set(text) & set("/:") if pattern == "*" else naive(pattern, text)


patterns = st.lists(st.sampled_from([*LETTERS, "*", "**"]), max_size=6).map("".join).filter(lambda p: "***" not in p)
texts = st.text(LETTERS + "*", max_size=7)


@given(patterns, texts)
def test_a_pattern_matches_what_its_definition_says(pattern: str, text: str) -> None:
    """Compared with a matcher that tries everything."""
    assert Pattern(pattern).matches(text) is naive(pattern, text)


@given(patterns, st.lists(st.text(LETTERS, max_size=3), min_size=6, max_size=6))
def test_a_text_made_by_filling_the_runs_matches(pattern: str, fillings: list[str]) -> None:
    """Long positive cases, which random texts hardly ever are."""
    filled = iter(fillings)
    text = pattern.replace("**", "\0").replace("*", "\1")
    text = "".join(
        next(filled) if char == "\0" else next(filled).replace("/", "").replace(":", "") if char == "\1" else char
        for char in text
    )
    assert Pattern(pattern).matches(text)


@given(st.lists(patterns, max_size=4), texts)
def test_several_patterns_match_when_one_does(several: list[str], text: str) -> None:
    """Nothing more, and nothing less."""
    assert Patterns(several).match(text) is any(naive(pattern, text) for pattern in several)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("spiffe://acme.org/ns/pay/*", "spiffe://acme.org/ns/pay/sa/web"),
        ("spiffe://acme.org/ns/pay/*", "spiffe://acme.org/ns/pay-evil/web"),
        ("spiffe://acme.org/**", "spiffe://acme.org.evil.example/web"),
        ("spiffe://acme.org/**", "spiffe://acme.org"),
        ("spiffe://acme.org/web", "spiffe://ACME.org/web"),
        ("spiffe://*/web", "spiffe://acme.org/x/web"),
        ("key:web", "key:web2"),
        ("key:*", "key:a:b"),
        ("jwt:prod:system:serviceaccount:pay:*", "jwt:prod:system:serviceaccount:pay:web:x"),
        ("a.c", "abc"),
        ("[ab]", "a"),
        ("a+", "aa"),
        ("a?", "a"),
        ("^a$", "a"),
    ],
)
def test_what_looks_alike_does_not_match(pattern: str, text: str) -> None:
    """Neighbours of a name, and characters that mean something in other kinds of pattern."""
    assert not Pattern(pattern).matches(text)


@pytest.mark.parametrize("text", ["", "a", "spiffe://a/b", "a:b", "\n", "*", "ä"])
def test_a_star_alone_matches_everything(text: str) -> None:
    """The empty text too."""
    assert Pattern("*").matches(text)


@pytest.mark.parametrize("text", ["key:web\n", "\nkey:web", "key:web\0", "key:web ", "key:wеb"])
def test_a_literal_matches_only_itself(text: str) -> None:
    """No line break at the end slips through, as with `$` of a regular expression, and no Cyrillic е."""
    assert not Pattern("key:web").matches(text)
    assert not Pattern("key:web**x").matches(text)


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("a***b", "three or more"),
        ("a  b", "two in a row"),
        (" a-name", "beginning"),
        ("a-name ", "end,"),
        ("a\n", "printed"),
        ("a" * 1025, "1024 characters"),
    ],
)
def test_a_malformed_pattern_is_refused(pattern: str, fault: str) -> None:
    """And the message does not repeat it."""
    assert fault in pattern_fault(pattern)
    with pytest.raises(ValueError, match="the pattern") as caught:
        Pattern(pattern)
    assert pattern not in str(caught.value)


@pytest.mark.parametrize("text", ["a b", "ä", "a\n"])
def test_only_patterns_of_audiences_have_spaces_and_other_scripts(text: str) -> None:
    """No caller, client or scope has such a name: it would be a mistake, or a look-alike."""
    assert "ASCII" in pattern_fault(text, of_audiences=False)


@pytest.mark.parametrize("pattern", ["https://a*", "https://a**", "**a b", "* *", "a*"])
def test_no_wildcard_matches_a_space(pattern: str) -> None:
    """It may separate several audiences: one that is allowed must not bring others along."""
    assert not Pattern(pattern).matches("https://a https://b")
    assert not Pattern(pattern).matches("a b c")


def test_a_pattern_may_name_an_audience_with_spaces() -> None:
    """In any script, word by word."""
    assert Pattern("Bücher API").matches("Bücher API")
    assert Pattern("Bücher *").matches("Bücher API")
    assert not Pattern("Bücher *").matches("Bücher API v2")


class Counting(str):
    """A text that counts the characters that were looked at."""

    __slots__ = ("looks",)

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - str's own signature, of no use here
        self.looks = count()
        for char in str.__iter__(self):
            next(self.looks)
            yield char


def test_the_worst_pattern_looks_at_each_character_once() -> None:
    """A pattern that would keep a backtracking matcher busy for ages."""
    text = Counting("a" * 4000)
    assert not Pattern("*a" * (MAX_PATTERN // 2 - 1) + "*b").matches(text)
    assert next(text.looks) == 4000
