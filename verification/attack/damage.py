"""What a writer of Redis can do to a key's record, lease and meta: strategies, and the doing."""

from dataclasses import dataclass
from typing import Final, Literal, cast

from hypothesis import strategies as st
from redis import Redis

RECORD: Final = ("f", "exp", "refresh", "life", "cv", "payload", "leeway", "cap", "print")
META: Final = ("f", "bar", "cv", "n", "until", "failure", "until_cv", "rejected_print")
LEASE: Final = ("nonce", "f")
FIELDS: Final = {"t": RECORD, "m": META, "l": LEASE}

Part = Literal["t", "m", "l"]

NUMBERS = st.sampled_from(
    [
        b"0", b"-1", b"1", b"1e300", b"-1e300", b"nan", b"inf", b"-inf", b"0x7fffffffffffffff", b"9007199254740993",
        b"9223372036854775807", b"9223372036854775808", b"99999999999999999999", b"1.5", b"", b" 1", b"1_000",
        b"4102444800000", b"\xc2\xb2", b"1" * 5000,
    ]
)  # fmt: skip
WORST: Final = (b"-1", b"1e300", b"-1e300", b"nan", b"1.5", b"9223372036854775808", b"4102444800000", b"")
"""Of the numbers, those that once did harm, and their kin; the last but one is a time in the year 2100."""

TEXTS = st.sampled_from(
    [
        b"{}",
        b'{"v":1}',
        b"[" * 3000,
        b"\x02",
        b"\x02" + b"\0" * 40,
        b"\x03" * 60,
        b"\n\r\0",
        b"ISSUER_REFUSED",
        b"x" * 9000,
    ]
)
GARBAGE = NUMBERS | TEXTS | st.binary(max_size=60)


@dataclass(frozen=True)
class Blow:
    """One change. `how`: `set`, `drop` or `flip` a byte of a field, make it another `type`, `expire`, `swap`."""

    part: Part
    how: Literal["set", "drop", "flip", "type", "expire", "swap"]
    field: str = ""
    value: bytes = b""
    at: int = 0


def _of_part(part: Part) -> st.SearchStrategy[Blow]:
    fields = st.sampled_from(FIELDS[part])
    return st.one_of(
        st.builds(Blow, st.just(part), st.just("set"), fields, GARBAGE),
        st.builds(Blow, st.just(part), st.just("drop"), fields),
        st.builds(Blow, st.just(part), st.just("flip"), fields, st.just(b""), st.integers(0, 2000)),
        st.builds(Blow, st.just(part), st.just("type"), st.just(""), GARBAGE, st.integers(0, 2)),
        st.builds(Blow, st.just(part), st.just("expire"), st.just(""), st.just(b""), st.sampled_from([1, 300])),
    )


RECORD_BLOWS = _of_part("t") | st.just(Blow("t", "swap")) | st.just(Blow("t", "set", "payload", b"in clear"))
BLOWS = st.lists(RECORD_BLOWS | RECORD_BLOWS | _of_part("m") | _of_part("l"), min_size=1, max_size=4)
ONE_BAD_NUMBER: Final = [
    [Blow(part, "set", field, number)]
    for part, fields in cast("dict[Part, tuple[str, ...]]", FIELDS).items()
    for field in fields
    for number in WORST
]

LEASE_MS: Final = 100
"""A writer could hold a lease for ever; here it lapses, so that a run ends."""


class Damager:
    """A client of Redis with bad intentions. `other`: the hash of a key whose token is to show up elsewhere."""

    def __init__(self, redis: Redis, other: str, in_clear: bytes) -> None:
        self._redis = redis
        self._other = other
        self._in_clear = in_clear

    def strike(self, key_hash: str, blow: Blow) -> None:
        name = f"mintonce:{{{key_hash}}}:{blow.part}"
        try:
            self._strike(name, blow)
        except Exception as error:
            if "WRONGTYPE" not in str(error):
                raise  # an earlier blow made it another type: this one misses
        if blow.part == "l" and self._redis.exists(name):
            self._redis.pexpire(name, LEASE_MS)

    def _strike(self, name: str, blow: Blow) -> None:
        match blow.how:
            case "set":
                self._redis.hset(name, blow.field, self._in_clear if blow.value == b"in clear" else blow.value)
            case "drop":
                self._redis.hdel(name, blow.field)
            case "flip":
                self._flip(name, blow)
            case "type":
                self._retype(name, blow)
            case "expire":
                self._redis.pexpire(name, blow.at)
            case "swap":
                stolen = self._redis.hgetall(f"mintonce:{{{self._other}}}:t")
                self._redis.hset(name, mapping={field: stolen[field] for field in (b"payload", b"f")})

    def _flip(self, name: str, blow: Blow) -> None:
        value = bytearray(cast(bytes | None, self._redis.hget(name, blow.field)) or b"")
        if value:
            value[blow.at % len(value)] ^= 1 << blow.at % 8
            self._redis.hset(name, blow.field, bytes(value))

    def _retype(self, name: str, blow: Blow) -> None:
        ttl = max(self._redis.pttl(name), 1000)
        self._redis.delete(name)
        match blow.at:
            case 0:
                self._redis.set(name, blow.value)
            case 1:
                self._redis.rpush(name, blow.value, b"f")
            case _:
                self._redis.zadd(name, {blow.value: 1.0})
        self._redis.pexpire(name, ttl)
