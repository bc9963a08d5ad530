"""How to get into the store, from the files that say so: they are read again when they change."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from ssl import SSLContext

from mintonce_server.common.redis_url import Target, parse_redis_url
from mintonce_server.config import REDIS_TLS_FILES, FileFault, Settings, guard_of, refuse_if_open, secret_in
from mintonce_server.core.errors import MintonceError, StoreUnavailable
from mintonce_server.core.ports import Clock
from mintonce_server.core.supervise import Start
from mintonce_server.observability.logs import get_logger, know_secret
from mintonce_server.observability.quiet import Reminder
from mintonce_server.reload.guarding import Guarding
from mintonce_server.reload.reloading import Definite
from mintonce_server.store.redis import RedisStore
from mintonce_server.store.topology.tls import TlsFileFault, tls_context_of


class UnusableAccess(Definite):
    """A file that leads into the store cannot be used. The text holds no byte of it."""


class UnfitPair(MintonceError):
    """Certificate and key do not fit: perhaps the other one is being written just now."""


class StoreFiles:
    """What `redis.url_file` and the TLS files of the Redis URL hold now.

    A store goes over to new credentials when they are seen to work; until then those of before go on.
    """

    def __init__(self, settings: Settings, guarding: Guarding, clock: Clock) -> None:
        """Reads all of it. Raises MintonceError."""
        self._started = parse_redis_url(settings.redis.url.reveal())
        self._interval = settings.reload_interval
        self._reminder = Reminder(clock)
        self._changed = asyncio.Event()
        self._target = self._hold_url(settings.redis.url_file, guarding)
        self._context = self._hold_tls(guarding)
        if self._target() != self._started:  # since the settings were loaded
            self._changed.set()

    def endless(self, store: RedisStore) -> dict[str, Start]:
        """What has to run, by name."""
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

    def _hold_url(self, path: Path | None, guarding: Guarding) -> Callable[[], Target]:
        if path is None:
            return lambda: self._started

        def load(files: Sequence[bytes]) -> Target:
            target = _read(files[0], path)
            if not target.is_same_store(self._started):
                raise UnusableAccess(
                    f"{path} names another store, or other options: only user and password change at run time",
                    remedy="Restart to go there. Until then the URL that was read before goes on.",
                )
            return target

        return guarding.hold("store URL", [(path, refuse_if_open)], load, self._changed.set)

    def _hold_tls(self, guarding: Guarding) -> Callable[[], SSLContext | None]:
        named = {option: path for option in REDIS_TLS_FILES if (path := self._started.file(option))}
        if not named:
            return lambda: None
        guarded = [(path, guard_of(option, named)) for option, path in named.items()]

        def load(files: Sequence[bytes]) -> SSLContext:
            try:
                return tls_context_of(self._started, dict(zip(named, files, strict=True)))
            except TlsFileFault as error:
                kind = UnfitPair if error.is_pair else UnusableAccess
                raise kind(
                    f"{named[error.option]} {error.what} ({error.option} of the Redis URL)", remedy=error.remedy
                ) from error

        return guarding.hold("store TLS files", guarded, load, self._changed.set)


def _read(data: bytes, path: Path) -> Target:
    try:
        url = secret_in(data)
        target = parse_redis_url(url.reveal())
    except FileFault as error:
        raise UnusableAccess(f"{path}: {error}", remedy=error.remedy) from error
    except ValueError as error:  # it shows nothing of the URL
        raise UnusableAccess(f"{path}: {error}", remedy="Mend the file; what was loaded before goes on.") from error
    know_secret(url)
    return target
