"""The public keys of a JWT issuer (RFC 7517): from a document, or fetched from where the issuer shows them."""

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

from mintonce_server.auth.documents import json_object
from mintonce_server.common.files import as_file
from mintonce_server.common.oauth import JWT_ALGORITHMS
from mintonce_server.core.errors import Foreign, MintonceError
from mintonce_server.core.ports import Clock

MAX_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 100
RSA_BITS: Final = range(2048, 8193)
"""At least what RFC 7518, section 3.3, demands; at most what is verified in no time."""

Key = RSAKey | ECKey | OKPKey | OctKey  # the latter is never made here, but is part of the library's type
_CURVES: Final = {"EC": {"P-256", "P-384", "P-521"}, "OKP": {"Ed25519", "Ed448"}}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518, sections 6.2 to 6.4

Keys = Callable[[], KeySet]
"""The keys as they are now. A `JwksUrl` is one, which can be told to look for more."""


class JwksError(MintonceError):
    """The keys cannot be used, or not be fetched."""


def parse_jwks(data: bytes) -> KeySet:
    """The keys for signatures; those for other uses, and kinds that are not known, are passed over (RFC 7517, 5).

    Raises JwksError, which never shows what is in the document: it may hold what nobody should have shown.
    """
    try:
        return _parsed(data)
    except JwksError:
        raise
    except Exception as error:  # noqa: BLE001 - translated and raised below, without its text
        failure = JwksError(f"the set cannot be read ({type(error).__name__})", remedy="Write it as RFC 7517 says.")
        failure.__cause__ = Foreign.of(error)
    raise failure


def _parsed(data: bytes) -> KeySet:
    keys = [_key(entry) for entry in _entries(data) if _is_for_us(entry)]
    if not keys:
        raise JwksError("the set holds no key for signatures", remedy="Give the issuer's public RSA, EC or OKP keys.")
    ids = [key.kid for key in keys]
    if len(set(ids)) != len(ids):
        raise JwksError("two keys of the set have the same kid", remedy="Give each key a kid of its own.")
    return KeySet(keys)


def _entries(data: bytes) -> list[dict[str, object]]:
    document = json_object(data) if len(data) <= MAX_BYTES else None
    listed = document.get("keys") if document is not None else None
    entries = cast("list[object]", listed) if isinstance(listed, list) else []
    if not 0 < len(entries) <= MAX_KEYS or not all(isinstance(entry, dict) for entry in entries):
        raise JwksError("this is no set of keys", remedy='Write a JWK set: {"keys": […]} (RFC 7517, section 5).')
    keys = cast("list[dict[str, object]]", entries)
    if any(_PRIVATE & key.keys() for key in keys):
        raise JwksError("the set holds a private key", remedy="Make that key anew: it was seen. Give public parts.")
    return keys


def _is_for_us(entry: dict[str, object]) -> bool:
    """Whether it verifies signatures, by an algorithm that could be accepted."""
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
        raise JwksError("a key of the set cannot be read", remedy="Write it as RFC 7517 and RFC 7518 say.")
    if isinstance(key, RSAKey) and key.public_key.key_size not in RSA_BITS:
        raise JwksError("an RSA key of the set has a wrong size", remedy="Use one of 2048 to 8192 bits.")
    return key


def _imported(entry: dict[str, object]) -> Key | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # a short key is refused, not only warned of
            return JWKRegistry.import_key(cast("DictKey", entry))
    # What is wrong is for the issuer to find out: the errors of the library tell of the key.
    except Exception:  # noqa: BLE001 - whatever they are
        return None


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a URL is looked at. Seconds.

    Attributes:
        every: between looks when all is well.
        least: between looks at least, whatever unknown keys JWTs name: callers must not make us flood the issuer.
            After a failure the next look is due then, too.
        deadline: of one look.
    """

    every: float = 300.0
    least: float = 30.0
    deadline: float = 5.0


USUAL_PACE: Final = Pace()


class JwksUrl:
    """Keys from a URL. Whoever builds it runs `run`. Call it to have the keys; without any it raises JwksError."""

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        ca_file: str | None = None,
        verify: Callable[[], ssl.SSLContext] | None = None,
        on_error: Callable[[JwksError], None],
        pace: Pace = USUAL_PACE,
    ) -> None:
        """`verify`: whom to trust, as it is now, instead of `ca_file`."""
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._url = url
        self._clock = clock
        self._verify = verify or _always(_trusting(ca_file))
        self._on_error = on_error
        self._pace = pace
        self._keys: KeySet | None = None
        self._document: bytes | None = None
        self._wanted = asyncio.Event()

    def __call__(self) -> KeySet:
        if self._keys is None:
            self.want()
            raise JwksError("the issuer's keys are not here yet", remedy="See the server's log: jwks_unavailable.")
        return self._keys

    def want(self) -> None:
        """A JWT named a key that is not here: look soon."""
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
                pass  # time to look all the same
            await asyncio.sleep(max(0.0, began + self._pace.least - self._clock.monotonic()))

    async def _look(self) -> bool:
        try:
            document = await self._fetch()
            # The same document is the same keys: what was verified by them need not be verified again.
            if document != self._document:
                self._keys, self._document = parse_jwks(document), document
        except JwksError as error:
            self._on_error(error)
            return False
        return True

    def _client(self) -> httpx.AsyncClient:
        # timeout: `_fetch` sets one deadline around all of it
        return httpx.AsyncClient(verify=self._verify(), trust_env=False, follow_redirects=False, timeout=None)  # noqa: S113

    async def _fetch(self) -> bytes:
        try:
            async with (
                asyncio.timeout(self._pace.deadline),
                self._client() as client,
                client.stream("GET", self._url, headers=_HEADERS) as response,
            ):
                body = bytearray()
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        break
                status = response.status_code
        except Exception as error:
            # Whatever it is: ssl.SSLError for one comes through httpx when TLS breaks after the handshake.
            raise JwksError(f"the issuer's keys cannot be fetched ({type(error).__name__})", remedy=_REMEDY) from error
        if status != 200 or len(body) > MAX_BYTES:
            raise JwksError(f"the issuer's keys cannot be fetched (status {status})", remedy=_REMEDY)
        return bytes(body)


def _always(context: ssl.SSLContext) -> Callable[[], ssl.SSLContext]:
    return lambda: context


def trusting(authorities: bytes) -> ssl.SSLContext:
    """Those whose certificates (PEM) these are. Raises JwksError."""
    with as_file(authorities) as path:
        return _trusting(path)


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise JwksError("ca_file holds no certificates that can be read", remedy="Give certificates (PEM).") from error


# Not compressed: what we count is then what we read, and a small body cannot become a large one.
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}
_REMEDY: Final = "Check jwks_url and ca_file. Until then the keys that were fetched last go on."
