"""Chromium, from the lock file of tests/web/browser, without a window."""

import asyncio
import json
import os
import platform
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

import pytest

from support.eventually import eventually
from support.oidc_provider import node

FOLDER: Final = Path(__file__).parent.parent / "web" / "browser"
CHOSEN: Final = "MINTONCE_TEST_CHROMIUM"
"""A variable with the path of another Chromium, for machines that the lock file has none for."""
WIDE, NARROW = 1200, 320
_LONGEST_LINE: Final = 1 << 24


class Browser:
    """One page at a time. A context manager; the process ends with it."""

    async def __aenter__(self) -> Self:
        if not os.environ.get(CHOSEN) and (sys.platform, platform.machine()) != ("linux", "x86_64"):
            pytest.skip(f"the lock file has a Chromium for Linux on x86-64 only: name another one in {CHOSEN}")
        if not (FOLDER / "node_modules" / "playwright-core").is_dir():
            raise RuntimeError("the browser is not installed: run make setup")
        self._process = await asyncio.create_subprocess_exec(
            str(node()),
            "driver.js",
            cwd=FOLDER,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        await self._line()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        cast("asyncio.StreamWriter", self._process.stdin).close()  # its end is the browser's
        async with asyncio.timeout(10.0):
            await self._process.wait()

    async def open(self, url: str, *, scheme: str = "light", width: int = WIDE, script: bool = True) -> int:
        """Open a URL in a new window, with an empty cache. Returns the HTTP status."""
        status: int = await self._act("open", url=url, scheme=scheme, width=width, height=800, script=script)
        return status

    async def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        return await self._act("evaluate", script=script)

    async def text(self, selector: str = "main") -> str:
        """What a person reads there."""
        text: str = await self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")
        return text

    async def until(self, script: str, within: float = 15.0) -> None:
        """Wait until a JavaScript expression is true."""
        await eventually(lambda: self.evaluate(script), bool, within)

    async def press(self, key: str) -> None:
        """Press a key, named as in the web platform: Tab, Enter, a."""
        await self._act("press", key=key)

    async def resize(self, width: int, height: int = 800) -> None:
        """As if the window were dragged, or zoomed."""
        await self._act("resize", width=width, height=height)

    async def screenshot(self, path: Path) -> None:
        """A picture of what is visible."""
        await self._act("screenshot", path=str(path), whole=False)

    async def said(self) -> list[str]:
        """All that the page wrote to the console since it was opened: errors, and what the CSP forbids."""
        said: list[str] = await self._act("said")
        return said

    async def barriers(self) -> list[str]:
        """What axe finds that would keep people out."""
        found: list[str] = await self._act("audit")
        return found

    async def _act(self, act: str, **values: object) -> Any:
        writer = cast("asyncio.StreamWriter", self._process.stdin)
        writer.write(json.dumps({"act": act, **values}).encode() + b"\n")
        await writer.drain()
        answer = await self._line()
        assert "error" not in answer, answer["error"]
        return answer["result"]

    async def _line(self) -> dict[str, Any]:
        async with asyncio.timeout(40.0):  # the first start unpacks the browser
            line = await cast("asyncio.StreamReader", self._process.stdout).readline()
        assert line, f"the browser ended with code {await self._process.wait()}"
        return cast("dict[str, Any]", json.loads(line))
