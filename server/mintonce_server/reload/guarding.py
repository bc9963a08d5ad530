"""What keeps others out, from the files that say so, as they are now: each is read anew when it changes."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from ssl import SSLContext
from typing import Any, Generic, TypeVar

from mintonce_server.api.proof import Identify
from mintonce_server.api.tls import TlsMaterial, load_tls
from mintonce_server.auth.api_keys import ApiKeys, parse_api_keys
from mintonce_server.auth.authorities import Authorities
from mintonce_server.auth.identify import Identifier
from mintonce_server.auth.jwks import JwksUrl, Keys, parse_jwks, trusting
from mintonce_server.auth.jwt import JwtIssuer
from mintonce_server.config import (
    FileFault,
    JwtIssuerSettings,
    Settings,
    identities,
    parse_policy,
    read_regular,
    refuse_if_open,
    refuse_if_writable,
    secret_in,
)
from mintonce_server.core.errors import MintonceError
from mintonce_server.core.policy import OPEN, Policy
from mintonce_server.core.ports import Clock
from mintonce_server.core.secret import Secret
from mintonce_server.core.supervise import Start
from mintonce_server.observability.logs import get_logger, know_secret
from mintonce_server.reload.reloading import Watched
from mintonce_server.store.keyring import FIXED_KEYRING, Keyring, parse_keyring, same_index_key

T = TypeVar("T")

Load = Callable[[Sequence[bytes]], T]
Guard = Callable[[Path], None]
"""`refuse_if_open` for a secret, `refuse_if_writable` for all else that decides. Raises FileFault."""


class Current(Generic[T]):
    """A value that may change; call it to have it."""

    def __init__(self, value: T) -> None:
        self.value = value

    def __call__(self) -> T:
        return self.value


class Version:
    """Call it: another number each time that one of several values has been replaced."""

    def __init__(self) -> None:
        self._sources: list[Callable[[], object]] = []
        self._seen: list[object] = []
        self._number = 0

    def follow(self, source: Callable[[], object]) -> None:
        """The value of this source, too. A source that has none yet may raise MintonceError."""
        self._sources.append(source)

    def __call__(self) -> int:
        now = [_value_of(source) for source in self._sources]
        if len(now) != len(self._seen) or any(new is not old for new, old in zip(now, self._seen, strict=True)):
            self._seen = now
            self._number += 1
        return self._number


def _value_of(source: Callable[[], object]) -> object:
    try:
        return source()
    except MintonceError:
        return None


class UnusableFile(MintonceError):
    """A file that guards something cannot be used."""


class Guarding:
    """Reads all of it at once when it is made; raises MintonceError then.

    `watched` is what a Reloader looks after; `endless`, by name, is what has to run beside it.
    `on_change`: called when the policy has changed, or what callers' proofs are held against. `identities` is another
    number then. `on_credentials`: called when a secret or a key that we show to an issuer has changed.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        on_change: Callable[[], None],
        on_credentials: Callable[[], None] = lambda: None,
    ) -> None:
        self.identities = Version()
        self.watched: list[Watched[Any]] = []
        self.endless: dict[str, Start] = {}
        self._settings = settings
        self._clock = clock
        self._on_change = on_change
        self.on_credentials = on_credentials
        self.tls = self._tls()
        self.policy = self._policy()
        self.keyring = self._keyring()
        self.identify = self._identify()

    def hold(
        self,
        name: str,
        guarded: Sequence[tuple[Path, Guard]],
        load: Load[T],
        then: Callable[[], None] | None = None,
    ) -> Current[T]:
        """The value of these files, now and later. `then` is called after each change."""
        paths = [path for path, _ in guarded]
        files = [_read(path) for path in paths]
        check = partial(_check, guarded)
        check()
        current = Current(_loaded(load, files, paths[0]))

        def apply(value: T) -> None:
            current.value = value
            if then is not None:
                then()

        self.watched.append(Watched(name, tuple(paths), load, apply, initial=files, check=check))
        return current

    def secret(self, name: str, path: Path) -> Current[Secret]:
        """A secret in a file of its own."""

        def load(files: Sequence[bytes]) -> Secret:
            secret = _secret(files[0], path)
            know_secret(secret)
            return secret

        return self.hold(name, [(path, refuse_if_open)], load, self.on_credentials)

    def _tls(self) -> Current[TlsMaterial] | None:
        if (tls := self._settings.tls) is None:
            return None
        files = [(tls.certificate_file, refuse_if_writable), (tls.key_file, refuse_if_open)]
        files += [(tls.client_ca_file, refuse_if_writable)] if tls.client_ca_file else []
        return self.hold("certificate", files, load_tls, self._on_change)

    def _policy(self) -> Callable[[], Policy]:
        if (path := self._settings.policy_file) is None:
            return lambda: OPEN
        clients = frozenset(self._settings.clients)
        return self.hold(
            "policy",
            [(path, refuse_if_writable)],
            lambda files: parse_policy(files[0], str(path), clients),
            self._on_change,
        )

    def _keyring(self) -> Callable[[], Keyring]:
        if (path := self._settings.sealing_keys_file) is None:
            return lambda: FIXED_KEYRING
        known: list[Keyring] = []

        def load(files: Sequence[bytes]) -> Keyring:
            keyring = parse_keyring(files[0])
            if known:
                same_index_key(known[-1], keyring)
            known[:] = [keyring]
            return keyring

        return self.hold("sealing keys", [(path, refuse_if_open)], load)

    def _identify(self) -> Identify | None:
        settings = self._settings
        if not identities(settings):
            return None
        keys: Callable[[], ApiKeys | None] = lambda: None  # noqa: E731 - a function in one line, typed
        if settings.api_keys_file:
            files = [(settings.api_keys_file, refuse_if_writable)]
            keys = self.hold("API keys", files, lambda files: parse_api_keys(files[0]), self._on_change)
            self.identities.follow(keys)
        trust_domains = frozenset(settings.tls.trust_domains if settings.tls else ())
        issuers = [self._jwt_issuer(name, issuer) for name, issuer in settings.jwt_issuers.items()]
        return Identifier(trust_domains, issuers, keys, self._clock, self._authorities()).identify

    def _authorities(self) -> Authorities | None:
        if self.tls is None:
            return None
        material = self.tls
        self.identities.follow(material)
        return Authorities(lambda: material().client_ca)

    def _jwt_issuer(self, name: str, settings: JwtIssuerSettings) -> JwtIssuer:
        return JwtIssuer(
            name=name,
            issuer=settings.issuer,
            audiences=frozenset(settings.audiences),
            algorithms=settings.algorithms,
            keys=self._jwks(name, settings),
            leeway=settings.leeway,
        )

    def _jwks(self, name: str, settings: JwtIssuerSettings) -> Keys:
        if settings.jwks_file:
            files = [(settings.jwks_file, refuse_if_writable)]
            held = self.hold(f"keys of {name}", files, lambda files: parse_jwks(files[0]), self._on_change)
            self.identities.follow(held)
            return held
        assert settings.jwks_url is not None  # noqa: S101 - for type checkers: settings have one of the two
        source = JwksUrl(
            settings.jwks_url,
            clock=self._clock,
            verify=self._trusted(name, settings.ca_file) if settings.ca_file else None,
            trouble=lambda error: get_logger(__name__).error("jwks_unavailable", issuer=name, detail=str(error)),
        )
        self.endless[f"keys of {name}"] = source.run
        self.endless["fetched keys"] = self._look_for_keys
        self.identities.follow(source)
        return source

    def _trusted(self, name: str, path: Path) -> Current[SSLContext]:
        return self.hold(f"ca_file of {name}", [(path, refuse_if_writable)], lambda files: trusting(files[0]))

    async def _look_for_keys(self) -> None:
        """Endless. Keys that are fetched change without a file; watches are to hear of it."""
        seen = self.identities()
        while True:
            await asyncio.sleep(self._settings.reload_interval)
            if (now := self.identities()) != seen:
                seen = now
                self._on_change()


def _loaded(load: Load[T], files: Sequence[bytes], path: Path) -> T:
    try:
        return load(files)
    except MintonceError:
        raise
    except Exception as error:  # noqa: BLE001 - raised below, because its text may quote the file
        what = type(error).__name__
    raise UnusableFile(f"{path} is not understood ({what})", remedy="Mend the file, or name another.")


def _read(path: Path) -> bytes:
    try:
        return read_regular(path)
    except FileFault as error:
        raise UnusableFile(f"{path}: {error}", remedy=error.remedy) from error


def _check(guarded: Sequence[tuple[Path, Guard]]) -> None:
    for path, guard in guarded:
        try:
            guard(path)
        except FileFault as error:
            raise UnusableFile(f"{path}: {error}", remedy=error.remedy) from error


def _secret(data: bytes, path: Path) -> Secret:
    try:
        return secret_in(data)
    except FileFault as error:
        raise UnusableFile(f"{path}: {error}", remedy=error.remedy) from error
