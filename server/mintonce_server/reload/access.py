"""What controls access and comes from files: TLS, policy, identities, credentials, keys. Reloaded when files change."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from ssl import SSLContext
from typing import Any, TypeVar

from mintonce_server.api.tls import TlsMaterial, load_tls
from mintonce_server.auth.api_keys import ApiKeys, parse_api_keys
from mintonce_server.auth.authorities import Authorities
from mintonce_server.auth.identify import Identifier
from mintonce_server.auth.jwks import JwksUrl, Keys, parse_jwks, trusting
from mintonce_server.auth.jwt import JwtIssuer
from mintonce_server.calls.proof import Identify
from mintonce_server.common.clock import Clock
from mintonce_server.common.files import FileError, require_not_writable, require_private
from mintonce_server.common.redis_url import Target, parse_redis_url
from mintonce_server.config import (
    TLS_FILE_OPTIONS,
    JwtIssuerSettings,
    Settings,
    access_check_of,
    parse_policy,
    secret_in,
)
from mintonce_server.core.errors import MintonceError, StoreUnavailable
from mintonce_server.core.policy import OPEN, Policy
from mintonce_server.core.secret import Secret
from mintonce_server.core.supervise import Start
from mintonce_server.observability.http_meter import CountRequest, ignore_request
from mintonce_server.observability.logs import get_logger, know_secret
from mintonce_server.observability.quiet import Reminder
from mintonce_server.reload.files import (
    INTERVAL,
    AccessCheck,
    FileValue,
    Load,
    UnusableAlone,
    UnusableFile,
    ignore,
)
from mintonce_server.store.keyring import FIXED_KEYRING, Keyring, parse_keyring, same_index_key
from mintonce_server.store.redis import RedisStore
from mintonce_server.store.topology.tls import TlsFileFault, tls_context_of

T = TypeVar("T")


class Version:
    """Call it: the number increases each time that one of several values has been replaced."""

    def __init__(self) -> None:
        self._sources: list[Callable[[], object]] = []
        self._seen: list[object] = []
        self._number = 0

    def follow(self, source: Callable[[], object]) -> None:
        """Include the value of this source. A source without a value may raise MintonceError."""
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


class AccessFiles:
    """Loads everything when constructed, and raises MintonceError if a file cannot be used.

    Attributes:
        values: for a Reloader.
        endless: tasks to run, by name.
        identities: a number that increases when the data that callers' proofs are verified with has changed.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        interval: float = INTERVAL,
        on_request: CountRequest = ignore_request,
    ) -> None:
        """`on_request`: see JwksUrl."""
        self._on_request = on_request
        self.identities = Version()
        self.values: list[FileValue[Any]] = []
        self.endless: dict[str, Start] = {}
        self._settings = settings
        self._clock = clock
        self._interval = interval
        self._on_access = self._on_credentials = ignore
        self.tls = self._tls()
        self.policy = self._policy()
        self.keyring = self._keyring()
        self.identify = self._identify()

    def notify(self, *, on_access: Callable[[], None], on_credentials: Callable[[], None]) -> None:
        """Set the callbacks.

        `on_access`: the policy has changed, or the data that callers' proofs are verified with; then `identities` has
        changed too. `on_credentials`: a secret or key that we present to an issuer has changed.
        """
        self._on_access, self._on_credentials = on_access, on_credentials

    def add(
        self,
        name: str,
        files: Sequence[tuple[Path, AccessCheck]],
        load: Load[T],
        on_change: Callable[[], None] = ignore,
        *,
        may_be_absent: bool = False,
    ) -> FileValue[T]:
        """One more value of files."""
        value = FileValue(name, files, load, on_change, may_be_absent=may_be_absent)
        self.values.append(value)
        return value

    def access_changed(self) -> None:
        """Call the callback that is set at this moment."""
        self._on_access()

    def credentials_changed(self) -> None:
        """Call the callback that is set at this moment."""
        self._on_credentials()

    def secret(self, name: str, path: Path, *, may_be_absent: bool = False) -> FileValue[Secret | None]:
        """A secret in a file of its own; None while the file is absent, if it may be."""

        def load(content: Sequence[bytes]) -> Secret | None:
            return secret_of(content[0], path) if content else None

        return self.add(name, [(path, require_private)], load, self.credentials_changed, may_be_absent=may_be_absent)

    def _tls(self) -> FileValue[TlsMaterial] | None:
        if (tls := self._settings.tls) is None:
            return None
        files = [(tls.certificate_file, require_not_writable), (tls.key_file, require_private)]
        files += [(tls.client_ca_file, require_not_writable)] if tls.client_ca_file else []
        return self.add("certificate", files, load_tls, self.access_changed)

    def _policy(self) -> Callable[[], Policy]:
        if (path := self._settings.policy_file) is None:
            return lambda: OPEN
        clients, with_several = frozenset(self._settings.clients), self._settings.with_several_audiences
        return self.add(
            "policy",
            [(path, require_not_writable)],
            lambda content: parse_policy(content[0], str(path), clients, with_several),
            self.access_changed,
        )

    def _keyring(self) -> Callable[[], Keyring]:
        if (path := self._settings.sealing_keys_file) is None:
            return lambda: FIXED_KEYRING
        loaded: list[Keyring] = []

        def load(content: Sequence[bytes]) -> Keyring:
            keyring = parse_keyring(content[0])
            if loaded:
                same_index_key(loaded[-1], keyring)
            loaded[:] = [keyring]
            return keyring

        return self.add("sealing keys", [(path, require_private)], load)

    def _identify(self) -> Identify | None:
        settings = self._settings
        if not settings.authenticates_callers:
            return None
        keys: Callable[[], ApiKeys | None] = lambda: None  # noqa: E731 - a typed one-line function
        if settings.api_keys_file:
            files = [(settings.api_keys_file, require_not_writable)]
            keys = self.add("API keys", files, lambda content: parse_api_keys(content[0]), self.access_changed)
            self.identities.follow(keys)
        trust_domains = frozenset(settings.tls.trust_domains if settings.tls else ())
        issuers = [self._jwt_issuer(name, issuer) for name, issuer in settings.jwt_issuers.items()]
        return Identifier(trust_domains, issuers, keys, self._clock, self._authorities()).identify

    def _authorities(self) -> Authorities | None:
        if (material := self.tls) is None:
            return None
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
            files = [(settings.jwks_file, require_not_writable)]
            keys = self.add(f"keys of {name}", files, lambda content: parse_jwks(content[0]), self.access_changed)
            self.identities.follow(keys)
            return keys
        assert settings.jwks_url is not None  # noqa: S101 - for type checkers: settings have one of the two
        source = JwksUrl(
            settings.jwks_url,
            clock=self._clock,
            verify=self._trusted(name, settings.ca_file) if settings.ca_file else None,
            bearer=self._bearer(name, settings.jwks_bearer_file) if settings.jwks_bearer_file else None,
            on_error=lambda error: get_logger(__name__).error("jwks_unavailable", issuer=name, detail=str(error)),
            on_request=self._on_request,
        )
        self.endless[f"keys of {name}"] = source.run
        self.endless["fetched keys"] = self._watch_fetched_keys
        self.identities.follow(source)
        return source

    def _trusted(self, name: str, path: Path) -> FileValue[SSLContext]:
        return self.add(f"ca_file of {name}", [(path, require_not_writable)], lambda content: trusting(content[0]))

    def _bearer(self, name: str, path: Path) -> FileValue[Secret]:
        files = [(path, require_private)]
        return self.add(f"jwks_bearer_file of {name}", files, lambda content: secret_of(content[0], path))

    async def _watch_fetched_keys(self) -> None:
        """Endless. Fetched keys change without a file; watches must be checked again."""
        seen = self.identities()
        while True:
            await asyncio.sleep(self._interval)
            if (now := self.identities()) != seen:
                seen = now
                self.access_changed()


def secret_of(data: bytes, path: Path) -> Secret:
    """The secret in a file's bytes, hidden in logs from now on. Raises UnusableFile."""
    try:
        secret = secret_in(data)
    except FileError as error:
        raise UnusableFile(f"{path} {error}", remedy=error.remedy) from error
    know_secret(secret)
    return secret


class StoreAccess:
    """The store's URL and TLS files. A store switches to new credentials once they are known to work."""

    def __init__(self, settings: Settings, files: AccessFiles, clock: Clock, interval: float = INTERVAL) -> None:
        """Loads the files. Raises MintonceError."""
        self._started = parse_redis_url(settings.redis.url.reveal())
        self._interval = interval
        self._reminder = Reminder(clock)
        self._changed = asyncio.Event()
        self._target = self._add_url(settings.redis.url_file, files)
        self._context = self._add_tls(files)
        if self._target() != self._started:  # changed since the settings were loaded
            self._changed.set()

    def endless(self, store: RedisStore) -> dict[str, Start]:
        """Tasks to run, by name."""
        return {"store files": partial(self._run, store)}

    async def _run(self, store: RedisStore) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await store.exchange(replace(self._target(), context=self._context()))
                self._reminder.over()
                get_logger(__name__).info("store_files_in_use")
            except StoreUnavailable as error:
                self._changed.set()
                if self._reminder.is_due(str(error)):
                    get_logger(__name__).error("store_files_refused", detail=str(error), remedy=error.remedy)
                await asyncio.sleep(self._interval)
            except Exception:
                self._changed.set()
                raise

    def _add_url(self, path: Path | None, files: AccessFiles) -> Callable[[], Target]:
        if path is None:
            return lambda: self._started

        def load(content: Sequence[bytes]) -> Target:
            target = _target_in(content[0], path)
            if not target.is_same_store(self._started):
                raise UnusableAlone(
                    f"{path} names another store, or other options: only user and password can change at run time",
                    remedy="Restart to use it. Until then the previous URL stays in use.",
                )
            return target

        return files.add("store URL", [(path, require_private)], load, self._changed.set)

    def _add_tls(self, files: AccessFiles) -> Callable[[], SSLContext | None]:
        named = {option: path for option in TLS_FILE_OPTIONS if (path := self._started.file(option))}
        if not named:
            return lambda: None
        checked = [(path, access_check_of(option, named)) for option, path in named.items()]

        def load(content: Sequence[bytes]) -> SSLContext:
            try:
                return tls_context_of(self._started, dict(zip(named, content, strict=True)))
            except TlsFileFault as error:
                kind = UnusableFile if error.is_pair else UnusableAlone
                raise kind(
                    f"{named[error.option]} {error.what} ({error.option} of the Redis URL)", remedy=error.remedy
                ) from error

        return files.add("store TLS files", checked, load, self._changed.set)


def _target_in(data: bytes, path: Path) -> Target:
    try:
        url = secret_in(data)
        target = parse_redis_url(url.reveal())
    except FileError as error:
        raise UnusableAlone(f"{path} {error}", remedy=error.remedy) from error
    except ValueError as error:  # it repeats nothing of the URL
        raise UnusableAlone(f"{path}: {error}", remedy="Fix the file. The previous URL stays in use.") from error
    know_secret(url)
    return target
