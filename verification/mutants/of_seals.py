"""Mutants: what stands in clear beside a sealed record is not believed."""

from mutants.mutant import Mutant


def record(name: str, old: str, new: str, breaks: str) -> Mutant:
    """A mutant of the reading of records."""
    return Mutant(name, "store/record.py", old, new, breaks, ("tests/store/test_rewritten_records.py",))


SEALS = (
    record(
        "the expiry in clear is believed",
        "            and self.expiry <= payload.expiry\n",
        "",
        "any client that can write to Redis makes a token live for weeks",
    ),
    record(
        "the credential version in clear is believed",
        "            and self.credential_version == payload.credential_version\n",
        "",
        "a token of a replaced secret passes for one of the new secret",
    ),
    record(
        "a life longer than the sealed one",
        "0 < self.remaining <= payload.lifetime <= _MAX_LIFETIME_MS",
        "0 < self.remaining",
        "a record whose clock was moved outlives its token",
    ),
    record(
        "a record that is not believed is served",
        "        if payload is not None and not self._fits(payload):\n",
        "        if False:\n",
        "everything in clear is believed",
    ),
    record(
        "a rewritten record is passed over in silence",
        "            opening.alarm(key_hash, _REWRITTEN)\n",
        "",
        "operators do not learn of it",
    ),
    record(
        "another key's record",
        "if payload and payload.key == key else None",
        "if payload else None",
        "two records that were swapped are handed out",
    ),
)
