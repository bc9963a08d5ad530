"""A practice issuer that can be told to have faults, from within or by PUT /fault. A program, too."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any, Final, cast

from aiohttp import web

from mintonce_dev.contract import TokenRequest, Verdict, judge, practice_token
from mintonce_dev.practice_http import error_reply, json_reply
from mintonce_dev.practice_issuer import PracticeIssuer, answer, main
from mintonce_server.core.secret import Secret

_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_LATEST: Final = 1e9
"""Seconds: about thirty years."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with the next answers. The POST counts in the log all the same.

    Attributes:
        latency: seconds before the answer.
        status: instead of the right one; without a token then, unless `body` says something.
        body: the text sent instead of the right one.
        hang: no answer until the connection or the issuer is closed.
        retry_after: value of a Retry-After header.
        audience: only for POSTs that ask for this one, in which `*` stands for anything; None: for all.
        expires_in: JSON text sent as `expires_in` instead of the right one; "" leaves it out. Where it is a sane number
            of seconds, the token really lives so long.
        scope: granted instead of the one that was asked for.
        repeat: the audience's last token once more instead of a new one.
        padding: so many more bytes in the body.
        drip: seconds between any two bytes of the body.
        times: for so many POSTs; None: until told otherwise.
    """

    latency: float = 0.0
    status: int | None = None
    body: str | None = None
    hang: bool = False
    retry_after: str | None = None
    audience: str | None = None
    expires_in: str | None = None
    scope: str | None = None
    repeat: bool = False
    padding: int = 0
    drip: float = 0.0
    times: int | None = None

    @property
    def is_failing(self) -> bool:
        """Whether no token is minted."""
        return self.status is not None or self.body is not None

    def lifetime(self, usual: float) -> float:
        """Seconds that a token lives which is minted now."""
        if self.expires_in is None or not _SECONDS.fullmatch(self.expires_in):
            return usual
        return min(float(self.expires_in), _LATEST)


NONE: Final = Fault()

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "latency": (int, float),
    "status": (int, type(None)),
    "body": (str, type(None)),
    "hang": (bool,),
    "retry_after": (str, type(None)),
    "audience": (str, type(None)),
    "expires_in": (str, type(None)),
    "scope": (str, type(None)),
    "repeat": (bool,),
    "padding": (int,),
    "drip": (int, float),
    "times": (int, type(None)),
}


def parse_fault(data: bytes) -> Fault:
    """A Fault from a JSON object with the same names; {} for none. Raises ValueError with a sentence."""
    parsed: object = json.loads(data or b"{}")
    if not isinstance(parsed, dict):
        raise ValueError("send a JSON object")
    said = cast("dict[str, object]", parsed)
    for name, value in said.items():
        if name not in _TYPES:
            raise ValueError(f"unknown name; use {', '.join(field.name for field in fields(Fault))}")
        if not isinstance(value, _TYPES[name]):
            raise ValueError(f"{name} has the wrong type")
    return Fault(**said)  # type: ignore[arg-type]


class FaultyIssuer(PracticeIssuer):
    """`fault`: that of all audiences that have none of their own."""

    def __init__(self, clients: Mapping[str, Secret], *args: Any, **options: Any) -> None:
        super().__init__(clients, *args, **options)
        self.fault = NONE
        self._faults_of: dict[str, Fault] = {}
        self._latest: dict[str, tuple[str, str]] = {}

    def routes(self) -> list[web.RouteDef]:
        return [*super().routes(), web.put("/fault", self._put_fault)]

    async def token(self, request: TokenRequest) -> web.Response:
        verdict = judge(request, self._clients, self._audiences)
        fault = self._next_fault(verdict.audience)
        now, lifetime = self.now(), fault.lifetime(self.lifetime_of(verdict.audience))
        verdict, headers = self.within_quota(verdict, now)
        granted = verdict if fault.scope is None else replace(verdict, scope=fault.scope)
        token, jti = ("", "") if verdict.error or fault.is_failing else self._mint(granted, fault, now, lifetime)
        status = verdict.status if fault.status is None else fault.status
        self.count(verdict, now, status, jti)
        if fault.hang:
            await asyncio.Event().wait()
        await asyncio.sleep(fault.latency)
        text = (fault.body or "") if fault.is_failing else _stated(answer(granted, token, lifetime), fault)
        body = text.encode() + b" " * fault.padding
        if fault.retry_after:
            headers["Retry-After"] = fault.retry_after
        headers["Content-Length"] = str(len(body))
        return web.Response(
            status=status,
            body=_drip(body, fault.drip) if fault.drip else body,
            content_type="application/json",
            headers=headers,
        )

    async def _put_fault(self, request: web.Request) -> web.Response:
        try:
            fault = parse_fault(await request.read())
        except ValueError as error:
            return error_reply(400, "invalid_request", str(error))
        self._change_fault(fault.audience, fault)
        return json_reply(200, asdict(fault))

    def _mint(self, verdict: Verdict, fault: Fault, now: float, lifetime: float) -> tuple[str, str]:
        if fault.repeat and (latest := self._latest.get(verdict.audience)):
            return latest
        minted = self._latest[verdict.audience] = practice_token(verdict, self.url + "/", now, lifetime)
        return minted

    def _next_fault(self, audience: str) -> Fault:
        """That of the audience, before that of all."""
        pattern = next((pattern for pattern in self._faults_of if fnmatchcase(audience, pattern)), None)
        fault = self.fault if pattern is None else self._faults_of[pattern]
        if fault.times is not None:
            left = replace(fault, times=fault.times - 1) if fault.times > 1 else replace(NONE, audience=pattern)
            self._change_fault(pattern, left)
        return fault

    def _change_fault(self, pattern: str | None, fault: Fault) -> None:
        if pattern is None:
            self.fault = fault
        elif fault == replace(NONE, audience=fault.audience):
            self._faults_of.pop(pattern, None)
        else:
            self._faults_of[pattern] = fault


def _stated(fields: dict[str, object], fault: Fault) -> str:
    """The answer in JSON, with the `expires_in` of the fault."""
    if fault.expires_in is None or "expires_in" not in fields:
        return json.dumps(fields)
    del fields["expires_in"]
    # Put in as text: what is no JSON (NaN) can be practised too.
    return json.dumps(fields)[:-1] + (f', "expires_in": {fault.expires_in}}}' if fault.expires_in else "}")


async def _drip(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    for byte in body:
        yield bytes((byte,))
        await asyncio.sleep(seconds)


if __name__ == "__main__":
    sys.exit(main(kind=FaultyIssuer))
