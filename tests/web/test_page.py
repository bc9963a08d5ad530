"""The status page as text: from values to HTML that browsers, screen readers and people understand."""

import colorsys
import re
import zlib
from dataclasses import replace
from itertools import product

import pytest

from mintonce_server.core.status import ClientRow, KeyFilter, Keys, Level, StatusSnapshot, TokenEndpointView
from mintonce_server.web.page import POLICY, SCRIPT, STYLE, document, fragment
from support.html import parsed
from support.snapshots import busy, key_row

ALL = KeyFilter()
HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"


@pytest.mark.parametrize("snapshot", [busy(), busy(0, well=True), busy(200), StatusSnapshot(as_of=0.0)])
def test_it_is_html_without_an_error(snapshot: StatusSnapshot) -> None:
    """Whole and in part; an empty one too."""
    parsed(document(snapshot, ALL))
    parsed(f"<!doctype html><title>-</title>{fragment(snapshot, ALL)}")


def test_texts_from_outside_are_texts() -> None:
    """Audiences, scopes, names and errors, wherever they stand: none becomes an element or leaves its attribute."""
    row = key_row(1, audience=HOSTILE, client=HOSTILE, scopes=(HOSTILE,), failure=HOSTILE, key_hash=HOSTILE)
    made = busy()
    hostile = replace(
        made,
        keys=Keys((row,), 1, 1),
        clients=(ClientRow(HOSTILE, HOSTILE),),
        callers=(replace(made.callers[0], name=HOSTILE, why=HOSTILE, act=HOSTILE),),
        events=(replace(made.events[0], text=HOSTILE, remedy=HOSTILE, client=HOSTILE),),
        findings=(replace(made.findings[0], text=HOSTILE, remedy=HOSTILE),),
        files=(replace(made.files[0], name=HOSTILE, refused=HOSTILE),),
        fleet=(replace(made.fleet[0], address=HOSTILE, version=HOSTILE),),
        budget=(replace(made.budget[0], name=HOSTILE),),
        replica=replace(
            made.replica, name=HOSTILE, version=HOSTILE, token_endpoint=TokenEndpointView(HOSTILE, 1.0, 0.0, 1)
        ),
    )
    text = fragment(hostile, KeyFilter(find=HOSTILE))
    tree = parsed(text, strict=False)
    assert not list(tree.iter("script"))
    assert not list(tree.iter("img"))
    assert not [name for element in tree.iter() for name in element.attrib if name.startswith("on")]
    assert text.count("&lt;script&gt;") >= 15
    assert "cannot be shown" not in text


def test_the_token_endpoint_stands_among_the_calls_where_there_is_one() -> None:
    """Its address, requests and failures."""
    made = busy()
    assert "token endpoint 0.0.0.0:8443: 310.5 a second, 0.00 failed" in fragment(made, ALL)
    without = replace(made, replica=replace(made.replica, token_endpoint=TokenEndpointView()))
    assert "token endpoint" not in fragment(without, ALL)


def test_a_row_that_cannot_be_drawn_says_so_and_hides_no_other() -> None:
    """A page that stays empty because of one record helps nobody."""
    broken = key_row(1, ends_in="soon")
    text = fragment(replace(busy(), keys=Keys((key_row(2), broken, key_row(3)), 3, 3)), ALL)
    assert "This row cannot be shown (TypeError)." in text
    assert "api-2.example.com" in text
    assert "api-3.example.com" in text


def test_a_section_that_cannot_be_drawn_says_so_and_hides_no_other() -> None:
    """As above."""
    text = fragment(replace(busy(), keys=Keys(by_life=(1, 2))), ALL)
    assert "Lives and mints cannot be shown (ValueError)." in text
    assert "Last events" in text


def test_two_hundred_keys_take_less_than_forty_kilobytes_on_the_wire() -> None:
    """Compressed, as the server sends them to every browser."""
    assert len(zlib.compress(document(busy(200), ALL).encode())) < 40_000


def test_its_policy_allows_only_its_own_style_and_script() -> None:
    """No attribute `style`, no handler in an attribute, nothing loaded from anywhere."""
    text = document(busy(), ALL)
    assert POLICY.startswith("default-src 'none';")
    assert f"<style>{STYLE}</style>" in text
    assert f"<script>{SCRIPT}</script>" in text
    rest = text.replace(STYLE, "").replace(SCRIPT, "")
    assert not re.search(r"\sstyle=|\son\w+=|\ssrc=|url\(|@import", rest)
    assert "url(" not in STYLE


def test_every_table_has_a_caption_and_its_headings_their_scope() -> None:
    """What a screen reader says of a cell."""
    tree = parsed(document(busy(), ALL))
    tables = list(tree.iter("table"))
    assert len(tables) == 9
    for table in tables:
        assert table.find("caption") is not None
        assert {cell.get("scope") for cell in table.iter("th")} == {"col", "row"}


def test_every_picture_says_what_it_shows_or_is_hidden_from_screen_readers() -> None:
    """And every moment has its date for machines."""
    tree = parsed(document(busy(), ALL))
    for picture in tree.iter("svg"):
        title = picture.find("title")
        says = picture.get("role") == "img" and title is not None and title.text
        assert says or picture.get("aria-hidden") == "true" or picture.get("hidden") is not None
    moments = [moment.get("datetime", "") for moment in tree.iter("time")]
    assert len(moments) > 30
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment) for moment in moments)


def test_what_is_announced_is_the_sentence_alone() -> None:
    """A table in a live region would be read aloud every five seconds."""
    tree = parsed(document(busy(), ALL))
    announced = [element for element in tree.iter() if element.get("role") == "status"]
    assert ["".join(element.itertext()).strip() for element in announced] == ["", "1 thing needs you."]


def test_the_filter_stays_in_its_form() -> None:
    """And in its address, which can be sent to others."""
    tree = parsed(document(busy(), KeyFilter(client="reports", state="back-off", find='a"b')))
    chosen = [option.text for option in tree.iter("option") if "selected" in option.attrib]
    assert chosen == ["reports", "back-off"]
    (find,) = (each for each in tree.iter("input") if each.get("name") == "find")
    assert find.get("value") == 'a"b'


def test_it_asks_for_a_refresh_only_where_that_was_wanted() -> None:
    """Else a page without JavaScript would throw a reader to its top."""
    assert "http-equiv" not in document(busy(), ALL)
    assert "<meta http-equiv=refresh content=60>" in document(busy(), ALL, 60)


def test_the_same_values_give_the_same_text() -> None:
    """Nothing in it reads a clock."""
    assert document(busy(), ALL) == document(busy(), ALL)


def palettes() -> list[dict[str, str]]:
    """The colours of each scheme, by name."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks]
    assert [len(palette) for palette in found] == [20, 20]
    return found


def luminance(colour: str) -> float:
    """WCAG's relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


TEXTS = ("ink", "soft", "link", "well", "notice", "trouble")
GROUNDS = ("ground", "card", "well-ground", "notice-ground", "trouble-ground")
BARS = ("bar", "absent", "expiring", "refresh", "rejected", "rotation", "outage")


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_and_pictures_stand_out_from_their_ground(scheme: int) -> None:
    """WCAG 2.2 AA: 4.5 to 1 for text, 3 to 1 for pictures."""
    colours = palettes()[scheme]
    faint = [
        (text, ground) for text, ground in product(TEXTS, GROUNDS) if contrast(colours[text], colours[ground]) < 4.5
    ]
    faint += [(bar, "card") for bar in BARS if contrast(colours[bar], colours["card"]) < 3.0]
    assert faint == []


def test_the_two_schemes_are_light_and_dark() -> None:
    """By their grounds."""
    light, dark = (
        colorsys.rgb_to_hls(*(int(palette["ground"][at : at + 2], 16) / 255 for at in (1, 3, 5)))[1]
        for palette in palettes()
    )
    assert light > 0.9
    assert dark < 0.1


def test_the_title_says_how_things_stand() -> None:
    """In a row of tabs."""
    assert parsed(document(busy(), ALL)).findtext("head/title") == "1 thing needs you. Mintonce mintonce-7d9f-x2k"
    assert busy(well=True).level is Level.WELL


def test_what_was_saved_stands_beside_the_budget() -> None:
    """In tokens: what a reader wants to tell those who pay."""
    assert "103,981,309 saved" in document(busy(), KeyFilter())
