"""The public keys of a JWT issuer (RFC 7517): from a document, or fetched from where the issuer shows them."""

import asyncio
import json
import logging
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, KeySet, OctKey, OKPKey, RSAKey

from mintonce_server.core.errors import MintonceError
from mintonce_server.core.ports import Clock

MAX_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 100
DEADLINE: Final = 5.0
EVERY: Final = 300.0
"""Seconds between looks at a URL."""
LEAST: Final = 30.0
"""Seconds between looks at most, whatever unknown keys JWTs name: callers must not make us flood the issuer."""

Key = RSAKey | ECKey | OKPKey | OctKey  # the latter is never made here, but is part of the library's type
_KINDS: Final = ("RSA", "EC", "OKP")


Keys = Callable[[], KeySet]
"""The keys as they are now. A `JwksUrl` is one, which can be told to look for more."""


class JwksError(MintonceError):
    """The keys cannot be used, or not be fetched."""


def parse_jwks(data: bytes) -> KeySet:
    """The keys for signatures; kinds that are not known are passed over (RFC 7517, section 5). Raises JwksError."""
    try:
        document: object = json.loads(data) if len(data) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        document = None
    entries = cast("dict[str, Any]", document).get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not 0 < len(cast("list[object]", entries)) <= MAX_KEYS:
        raise JwksError("this is no set of keys", remedy='Write a JWK set: {"keys": […]} (RFC 7517, section 5).')
    keys = [_key(entry) for entry in cast("list[object]", entries) if _is_for_us(entry)]
    if not keys:
        raise JwksError("the set holds no key for signatures", remedy="Give the issuer's public RSA, EC or OKP keys.")
    ids = [key.kid for key in keys]
    if len(set(ids)) != len(ids):
        raise JwksError("two keys of the set have the same kid", remedy="Give each key a kid of its own.")
    return KeySet(keys)


def _is_for_us(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    fields = cast("dict[str, object]", entry)
    return fields.get("kty") in _KINDS and fields.get("use", "sig") == "sig"


def _key(entry: object) -> Key:
    fields = cast("dict[str, Any]", entry)
    if "d" in fields:
        raise JwksError(
            "the set holds a private key", remedy="Make that key anew: it has been seen. Give public parts."
        )
    try:
        return JWKRegistry.import_key(fields)
    except (JoseError, ValueError, TypeError, KeyError):
        pass
    raise JwksError("a key of the set cannot be read", remedy="Write it as RFC 7517 and RFC 7518 say.")


class JwksUrl:
    """Keys from a URL. Whoever builds it runs `run`. Call it to have the keys; without any it raises JwksError."""

    def __init__(
        self, url: str, *, clock: Clock, ca_file: str | None = None, trouble: Callable[[JwksError], None]
    ) -> None:
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._url = url
        self._clock = clock
        self._verify = ssl.create_default_context(cafile=ca_file)
        self._trouble = trouble
        self._keys: KeySet | None = None
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
            try:
                self._keys = parse_jwks(await self._fetch())
            except JwksError as error:
                self._trouble(error)
            try:
                async with asyncio.timeout(EVERY):
                    await self._wanted.wait()
            except TimeoutError:
                pass  # time to look all the same
            await asyncio.sleep(max(0.0, began + LEAST - self._clock.monotonic()))

    async def _fetch(self) -> bytes:
        try:
            async with (
                asyncio.timeout(DEADLINE),
                httpx.AsyncClient(verify=self._verify, trust_env=False, follow_redirects=False, timeout=None) as client,  # noqa: S113 - one deadline around all of it
                client.stream("GET", self._url, headers={"Accept": "application/json"}) as response,
            ):
                body = bytearray()
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        break
                status = response.status_code
        except (TimeoutError, httpx.HTTPError) as error:
            raise JwksError(f"the issuer's keys cannot be fetched ({type(error).__name__})", remedy=_REMEDY) from error
        if status != 200 or len(body) > MAX_BYTES:
            raise JwksError(f"the issuer's keys cannot be fetched (status {status})", remedy=_REMEDY)
        return bytes(body)


_REMEDY: Final = "Check jwks_url and ca_file. Until then the keys that were fetched last go on."
