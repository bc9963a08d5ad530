"""The public keys of a JWT issuer (RFC 7517): from a document, or fetched from the issuer's URL."""

import asyncio
import logging
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import httpx
from joserfc.errors import SecurityWarning
from joserfc.jwk import DictKey, ECKey, JWKRegistry, KeySet, OctKey, OKPKey, RSAKey

from mintonce_server.common.bounded_body import BadBody, read_bounded
from mintonce_server.common.clock import Clock
from mintonce_server.common.oauth import JWT_ALGORITHMS
from mintonce_server.common.strict_json import NotAnObject, parse_object
from mintonce_server.common.trust import trust
from mintonce_server.core.errors import Foreign, MintonceError
from mintonce_server.core.secret import Secret
from mintonce_server.observability.http_meter import CountRequest, ignore_request

MAX_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 100
RSA_BITS: Final = range(2048, 8193)
"""The minimum of RFC 7518, section 3.3; larger keys would make verification slow."""

Key = RSAKey | ECKey | OKPKey | OctKey  # the last one is never created, but is part of the library's type
_CURVES: Final = {"EC": {"P-256", "P-384", "P-521"}, "OKP": {"Ed25519", "Ed448"}}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518, sections 6.2 to 6.4

Keys = Callable[[], KeySet]
"""The current keys. A `JwksUrl` is one that can also be asked to fetch them again."""


class JwksError(MintonceError):
    """The keys cannot be used, or cannot be fetched."""


def parse_jwks(data: bytes) -> KeySet:
    """The keys for signatures. Keys for other uses and of unknown kinds are ignored (RFC 7517, section 5).

    Raises JwksError, which never contains parts of the document: it may contain a private key.
    """
    try:
        return _parsed(data)
    except JwksError:
        raise
    except Exception as error:  # noqa: BLE001 - translated and raised below, without its text
        failure = JwksError(f"the key set cannot be parsed ({type(error).__name__})", remedy="Follow RFC 7517.")
        failure.__cause__ = Foreign.of(error)
    raise failure


def _parsed(data: bytes) -> KeySet:
    keys = [_key(entry) for entry in _entries(data) if _is_for_us(entry)]
    if not keys:
        raise JwksError(
            "the key set contains no key for signatures", remedy="Use the issuer's public RSA, EC or OKP keys."
        )
    ids = [key.kid for key in keys]
    if len(set(ids)) != len(ids):
        raise JwksError("two keys of the key set have the same kid", remedy="Give each key its own kid.")
    return KeySet(keys)


def _entries(data: bytes) -> list[dict[str, object]]:
    try:
        listed = parse_object(data).get("keys") if len(data) <= MAX_BYTES else None
    except NotAnObject:
        listed = None
    entries = cast("list[object]", listed) if isinstance(listed, list) else []
    if not 0 < len(entries) <= MAX_KEYS or not all(isinstance(entry, dict) for entry in entries):
        raise JwksError("this is not a key set", remedy='Write a JWK set: {"keys": […]} (RFC 7517, section 5).')
    keys = cast("list[dict[str, object]]", entries)
    if any(_PRIVATE & key.keys() for key in keys):
        raise JwksError(
            "the key set contains a private key", remedy="Replace that key, since it leaked. Publish public keys only."
        )
    return keys


def _is_for_us(entry: dict[str, object]) -> bool:
    """Whether it verifies signatures of an algorithm that may be accepted."""
    kind, curve, operations = entry.get("kty"), entry.get("crv"), entry.get("key_ops", ["verify"])
    return (
        (kind == "RSA" or (isinstance(kind, str) and curve in list(_CURVES.get(kind, ()))))
        and entry.get("use", "sig") == "sig"
        and entry.get("alg", "RS256") in JWT_ALGORITHMS
        and (not isinstance(operations, list) or "verify" in operations)
    )


def _key(entry: dict[str, object]) -> Key:
    key = _imported(entry)
    if key is None:
        raise JwksError("a key of the key set cannot be parsed", remedy="Follow RFC 7517 and RFC 7518.")
    if isinstance(key, RSAKey) and key.public_key.key_size not in RSA_BITS:
        raise JwksError("an RSA key of the key set has an unsupported size", remedy="Use 2048 to 8192 bits.")
    return key


def _imported(entry: dict[str, object]) -> Key | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # a short key is refused
            return JWKRegistry.import_key(cast("DictKey", entry))
    except Exception:  # noqa: BLE001 - errors of the library contain parts of the key
        return None


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a URL is fetched. Seconds.

    Attributes:
        every: interval while fetching succeeds.
        least: minimum interval, also the one after a failure. JWTs with unknown keys cause a fetch, and callers must
            not be able to flood the issuer.
        deadline: maximum time of one fetch.
    """

    every: float = 300.0
    least: float = 30.0
    deadline: float = 5.0


USUAL_PACE: Final = Pace()


class JwksUrl:
    """Keys from a URL, which `run` fetches. Call it for the keys; raises JwksError while there are none."""

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        ca_file: str | None = None,
        verify: Callable[[], ssl.SSLContext] | None = None,
        bearer: Callable[[], Secret] | None = None,
        on_error: Callable[[JwksError], None],
        pace: Pace = USUAL_PACE,
        on_request: CountRequest = ignore_request,
    ) -> None:
        """`verify`: the current trust store, instead of `ca_file`. `bearer`: sent to the URL, and to no other."""
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._url = url
        self._clock = clock
        self._verify = verify or _always(trusting(ca_file))
        self._bearer = bearer
        self._on_error = on_error
        self._pace = pace
        self._on_request = on_request
        self._keys: KeySet | None = None
        self._document: bytes | None = None
        self._wanted = asyncio.Event()

    def __call__(self) -> KeySet:
        if self._keys is None:
            self.want()
            raise JwksError(
                "the issuer's keys are not available yet", remedy="See jwks_unavailable in the server's log."
            )
        return self._keys

    def want(self) -> None:
        """A JWT names an unknown key: fetch soon."""
        self._wanted.set()

    async def run(self) -> None:
        """Endless."""
        while True:
            self._wanted.clear()
            began = self._clock.monotonic()
            wait = self._pace.every if await self._look() else self._pace.least
            try:
                async with asyncio.timeout(wait):
                    await self._wanted.wait()
            except TimeoutError:
                pass  # the interval is over
            await asyncio.sleep(max(0.0, began + self._pace.least - self._clock.monotonic()))

    async def _look(self) -> bool:
        try:
            document = await self._fetch()
            # Keep the same keys for the same document, so that cached verifications stay valid.
            if document != self._document:
                self._keys, self._document = parse_jwks(document), document
        except JwksError as error:
            self._on_error(error)
            return False
        return True

    def _client(self) -> httpx.AsyncClient:
        # timeout: `_fetch` limits all of it
        return httpx.AsyncClient(verify=self._verify(), trust_env=False, follow_redirects=False, timeout=None)  # noqa: S113

    async def _fetch(self) -> bytes:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with (
                asyncio.timeout(self._pace.deadline),
                self._client() as client,
                client.stream("GET", self._url, headers=self._headers()) as response,
            ):
                body = await read_bounded(response.aiter_raw(), MAX_BYTES)
                status = response.status_code
        except BadBody as error:
            self._on_request("GET", self._url, None, loop.time() - began, error)
            raise JwksError(f"the issuer's keys cannot be fetched: the document {error}", remedy=_REMEDY) from error
        except Exception as error:
            # Any exception: httpx lets ssl.SSLError through when TLS fails after the handshake.
            self._on_request("GET", self._url, None, loop.time() - began, error)
            raise JwksError(f"the issuer's keys cannot be fetched ({type(error).__name__})", remedy=_REMEDY) from error
        self._on_request("GET", self._url, status, loop.time() - began, None)
        if status in (401, 403):
            raise JwksError(f"the issuer's keys cannot be fetched (status {status})", remedy=_WANTS_BEARER)
        if status != 200:
            raise JwksError(f"the issuer's keys cannot be fetched (status {status})", remedy=_REMEDY)
        return body

    def _headers(self) -> dict[str, str]:
        if self._bearer is None:
            return _HEADERS
        return {**_HEADERS, "Authorization": f"Bearer {self._bearer().reveal()}"}


def _always(context: ssl.SSLContext) -> Callable[[], ssl.SSLContext]:
    return lambda: context


def trusting(authorities: bytes | str | None) -> ssl.SSLContext:
    """A context that trusts these certificates (PEM, or the path of a PEM file), or the system's. Raises JwksError."""
    try:
        return trust(authorities)
    except ValueError as error:
        raise JwksError("ca_file contains no valid certificates", remedy="Write certificates in PEM.") from error


# Not compressed: a small body can then not become a large one.
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}
_REMEDY: Final = "Check jwks_url and ca_file. Meanwhile the keys that were fetched last stay in use."
_WANTS_BEARER: Final = "The URL wants another bearer: check jwks_bearer_file, and what its account may read."
