"""Settings, files that guard, and issuers' answers: pure code, without a server. Only faults and errors of ours."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from attack.exploring import explore
from attack.figures import Figures
from config.test_fuzz import NAMES, VALUES, load_or_fault
from hypothesis import strategies as st
from issuer.test_fuzz import BODIES, HEADERS, STATUSES, read_or_error

from mintonce_server.api.tls import load_tls
from mintonce_server.auth.api_keys import parse_api_keys
from mintonce_server.auth.certificate import caller_of_certificate
from mintonce_server.auth.jwks import parse_jwks
from mintonce_server.config import SettingsError, parse_policy
from mintonce_server.core.errors import IssuerError, MintonceError
from mintonce_server.issuer.response import Answer
from mintonce_server.store.keyring import parse_keyring

_WORDS: Final = (
    "[[rules]]", "[keys]", "[[sealing_keys]]", "name = ", "callers = ", "clients", "audiences", "scopes", "may = ",
    '"*"', '["get"]', "index_key", "key = ", '"sha256:', "a" * 64, '"keys"', "{", "}", "[", "]", '"kty": "RSA"', '"n"',
    ",", "\n", "-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE" + " KEY-----\n",
    "MIIB", "=", "1e999",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(_WORDS) | st.text(max_size=8), max_size=25).map(lambda words: "".join(words).encode())
DATA = TEXTS | st.binary(max_size=300) | st.just(b"[" * 5000) | st.just(b'{"keys":' * 3000)

READERS: Final[dict[str, Callable[[bytes], object]]] = {
    "policy": lambda data: parse_policy(data, "policy.toml"),
    "API keys": parse_api_keys,
    "sealing keys": parse_keyring,
    "key set": parse_jwks,
    "certificates": lambda data: load_tls([data, data, data]),
    "certificate of a caller": lambda data: caller_of_certificate(data, frozenset({"prod.example.com"}), 1.8e9),
}
ENVIRONMENTS = st.dictionaries(NAMES.map("MINTONCE_".__add__), VALUES, max_size=8)
ANSWERS = st.builds(Answer, STATUSES, HEADERS, BODIES)


async def fuzz_values(examples: int, seed: int) -> Sequence[Figures]:
    """So many examples of each."""
    config, guards, answers = Figures("settings"), Figures("files that guard"), Figures("answers of issuers")

    def check_config(example: tuple[dict[str, str], bytes]) -> None:
        environ, data = example
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(data)
            _count(config, "read or refused", lambda: load_or_fault(Path(file.name), environ))

    def check_guard(example: tuple[str, bytes]) -> None:
        name, data = example
        _count(guards, name, lambda: _read(READERS[name], data))

    def check_answer(answer: Answer) -> None:
        _count(answers, "read or refused", lambda: _judge(answer))

    await explore(config, st.tuples(ENVIRONMENTS, TEXTS), check_config, examples, seed)
    await explore(guards, st.tuples(st.sampled_from(list(READERS)), DATA), check_guard, examples, seed)
    await explore(answers, ANSWERS, check_answer, examples, seed)
    return config, guards, answers


def _count(figures: Figures, outcome: str, check: Callable[[], object]) -> None:
    try:
        check()
    except Exception as error:  # noqa: BLE001 - any other exception is what is looked for
        figures.saw(outcome, f"{outcome}: {type(error).__name__}: {str(error)[:200]}")
    else:
        figures.saw(outcome)


def _read(reader: Callable[[bytes], object], data: bytes) -> None:
    """An error is made of lines that print, and says what to do."""
    told: list[str] = []
    try:
        reader(data)
    except SettingsError as error:
        told = [str(fault) for fault in error.issues] or [""]
    except MintonceError as error:
        told = [str(error), error.remedy]
    assert all(line and line.isprintable() for line in told)


def _judge(answer: Answer) -> None:
    outcome = read_or_error(answer)
    if isinstance(outcome, IssuerError):
        assert str(outcome).isprintable()
    else:
        assert outcome.access_token.reveal().isprintable()
