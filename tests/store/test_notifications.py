"""Wake messages are bounded and authenticated; all others are dropped and counted."""

import pytest

from mintonce_server.core.ports import Wake, WakeKind
from mintonce_server.store.notifications import MAX_BYTES, REPORT_INTERVAL, Dropped, Notifications
from support.clocks import ManualClock

INDEX_KEY = b"an index key for tests"
HASH = "0123456789abcdef0123456789abcdef"
GENUINE = Notifications(INDEX_KEY).encode(WakeKind.COMMIT, HASH, 17)


def signed(body: bytes) -> bytes:
    """As a holder of the index key could send it."""
    return body + b" " + Notifications(INDEX_KEY)._mac(body)


@pytest.mark.parametrize("kind", [kind for kind in WakeKind if kind is not WakeKind.GAP])
@pytest.mark.parametrize("generation", [0, 17, 2**53, 10**19 - 1])
def test_what_is_encoded_is_decoded(kind: WakeKind, generation: int) -> None:
    """Every kind, with every generation of up to 19 digits, far below the limit."""
    data = Notifications(INDEX_KEY).encode(kind, HASH, generation)
    assert Notifications(INDEX_KEY).decode(data) == Wake(kind, HASH, generation)
    assert len(data) < MAX_BYTES


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"\x00\xff\xfe garbage",
        b"x" * 100_000,
        b"2 commit abc " + b"9" * 5_000,
        f"1 commit {HASH} 17".encode(),
        f"2 commit {HASH} 17".encode(),
        GENUINE + b" ",
        GENUINE + b"\n",
        GENUINE[:-1],
        Notifications(b"another index key").encode(WakeKind.COMMIT, HASH, 17),
    ],
    ids=["empty", "space", "bytes", "100 kB", "5,000 digits", "old release", "no MAC", "space after", "line end", "cut",
         "other fleet"],
)  # fmt: skip
def test_what_this_fleet_did_not_send_is_dropped(data: bytes) -> None:
    """Nothing of it is interpreted, and there is no error."""
    drops: list[None] = []
    assert Notifications(INDEX_KEY, lambda: drops.append(None)).decode(data) is None
    assert len(drops) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"2 commit abc " + b"9" * 20,
        b"2 commit abc -1",
        b"2 commit abc +1",
        b"2 commit abc 1_0",
        "2 commit abc ١".encode(),
        b"2 commit abc ",
        b"2 commit  1",
        b"2 commit ABC 1",
        b"2 commit abc\xff 1",
        b"2 commit abc 1 more",
        b"2 gap abc 0",
        b"2 party abc 1",
        b"3 commit abc 1",
        b"2 commit " + b"a" * 65 + b" 1",
    ],
)
def test_a_right_mac_does_not_excuse_a_wrong_form(body: bytes) -> None:
    """Digits are ASCII and at most 19; GAP is never published."""
    assert Notifications(INDEX_KEY).decode(signed(body)) is None


def test_each_bit_counts() -> None:
    """A genuine message with any one bit changed is dropped."""
    for position in range(len(GENUINE) * 8):
        data = bytearray(GENUINE)
        data[position // 8] ^= 1 << position % 8
        assert Notifications(INDEX_KEY).decode(bytes(data)) is None


def test_drops_are_reported_at_a_bounded_rate() -> None:
    """The first at once, later ones together, as a count."""
    reports: list[int] = []
    clock = ManualClock()
    dropped = Dropped(clock, reports.append)
    for _ in range(1_000):
        dropped.add()
    clock.advance(REPORT_INTERVAL)
    dropped.add()
    assert reports == [1, 1_000]
