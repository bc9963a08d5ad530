"""`/status` and `/status.json`: who may see them, and what of them."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from aiohttp import web

from mintonce_server.common.clock import Clock
from mintonce_server.core.caller import Caller
from mintonce_server.core.errors import MintonceError, PermissionDenied, Unauthenticated
from mintonce_server.core.findings import findings
from mintonce_server.core.key import TokenKey
from mintonce_server.core.key_survey import MaySee
from mintonce_server.core.policy import Act, Policy
from mintonce_server.core.status import STATES, KeyFilter, StatusSnapshot, as_json
from mintonce_server.observability.audit import CallRecord
from mintonce_server.observability.audit_repeats import UNKNOWN
from mintonce_server.web.page import POLICY, document, fragment
from mintonce_server.web.peers import peer_of
from mintonce_server.web.seen import only_seen

PAGE: Final = "/status"
JSON: Final = "/status.json"
AUDIT_EVERY: Final = 60.0
"""Seconds between two audit records of a page that refreshes itself, of one caller."""
MOST_READERS: Final = 1000
MAX_FIND: Final = 200
MIN_REFRESH, MAX_REFRESH = 2, 3600

Take = Callable[[KeyFilter, MaySee], Awaitable[StatusSnapshot]]
"""Takes a snapshot without findings: which keys, and which of them may be seen."""


class Admitting(Protocol):
    """What the page needs of the guard."""

    @property
    def policy(self) -> Callable[[], Policy]: ...
    def caller(self, request: web.BaseRequest) -> Caller: ...
    def must_administer(self, caller: Caller) -> None: ...


@dataclass(frozen=True, slots=True)
class Query:
    """What a URL asks for."""

    wanted: KeyFilter = field(default_factory=KeyFilter)
    is_fragment: bool = False
    refresh: int | None = None

    @classmethod
    def of(cls, request: web.BaseRequest) -> "Query":
        """From the URL. What is not understood is left out: a page that is too full is better than none."""
        asked = request.query
        state = asked.get("state", "")
        refresh = asked.get("refresh", "")
        return cls(
            KeyFilter(
                client=asked.get("client", "")[:MAX_FIND],
                state=state if state in STATES else "",
                find=asked.get("find", "")[:MAX_FIND],
            ),
            asked.get("fragment") == "1",
            min(max(int(refresh), MIN_REFRESH), MAX_REFRESH) if refresh.isdecimal() and len(refresh) < 6 else None,
        )


class StatusPages:
    """Answers one request at a time: whatever browsers do, the page costs little.

    `audit`: writes a record, or raises AuditUnavailable. None: there is no audit log.
    """

    def __init__(
        self, take: Take, guard: Admitting, clock: Clock, audit: Callable[[CallRecord], None] | None = None
    ) -> None:
        self._take = take
        self._guard = guard
        self._clock = clock
        self._audit = audit
        self._turn = asyncio.Lock()
        self._audited: OrderedDict[tuple[str, str], float] = OrderedDict()

    def routes(self) -> dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]]:
        """Handlers by path."""
        return {"/": self._root, PAGE: self._page, JSON: self._json}

    async def _root(self, _: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=303, headers={"Location": PAGE})

    async def _page(self, request: web.BaseRequest) -> web.StreamResponse:
        query = Query.of(request)
        caller = self._admitted(request, repeats=query.is_fragment or query.refresh is not None)
        async with self._turn:
            snapshot = await self._snapshot(caller, query.wanted)
            if query.is_fragment:
                text = await asyncio.to_thread(fragment, snapshot, query.wanted)
            else:
                text = await asyncio.to_thread(document, snapshot, query.wanted, query.refresh)
        return _answer(text, "text/html", {"Content-Security-Policy": POLICY})

    async def _json(self, request: web.BaseRequest) -> web.StreamResponse:
        caller = self._admitted(request, repeats=True)
        async with self._turn:
            snapshot = await self._snapshot(caller, Query.of(request).wanted)
            text = await asyncio.to_thread(lambda: json.dumps(as_json(snapshot)))
        return _answer(f"{text}\n", "application/json", {})

    async def _snapshot(self, caller: Caller, wanted: KeyFilter) -> StatusSnapshot:
        """As this caller may see it: keys and clients that it administers. Of the rest only those see all who may."""
        policy = self._guard.policy()

        def may_see(key: TokenKey) -> bool:
            return policy.decide(caller.name, Act.ADMIN, key.client, key.audience, key.scopes).allowed

        def sees_client(client: str) -> bool:
            return policy.administers(caller.name, client)

        seen = only_seen(await self._take(wanted, may_see), sees_client)
        return replace(seen, findings=findings(seen))

    def _admitted(self, request: web.BaseRequest, *, repeats: bool) -> Caller:
        """The caller. Raises Unauthenticated, PermissionDenied or AuditUnavailable."""
        caller = None
        try:
            caller = self._guard.caller(request)
            self._guard.must_administer(caller)
        except (Unauthenticated, PermissionDenied) as error:
            self._record(request, caller, error)
            raise
        if not repeats:
            self._record(request, caller, None)
        elif self._is_due(caller.name, request.path):
            self._record(request, caller, None)
            self._note_reader(caller.name, request.path)
        return caller

    def _is_due(self, caller: str, path: str) -> bool:
        return self._clock.monotonic() - self._audited.get((caller, path), float("-inf")) >= AUDIT_EVERY

    def _note_reader(self, caller: str, path: str) -> None:
        """Once its record is written: what cannot be recorded is not shown, however often it is asked for."""
        reader = (caller, path)
        self._audited[reader] = self._clock.monotonic()
        self._audited.move_to_end(reader)
        if len(self._audited) > MOST_READERS:
            self._audited.popitem(last=False)

    def _record(self, request: web.BaseRequest, caller: Caller | None, error: MintonceError | None) -> None:
        if self._audit is None:
            return
        denied = "unauthenticated" if isinstance(error, Unauthenticated) else "deny"
        self._audit(
            CallRecord(
                request_id="",
                caller=caller.name if caller else UNKNOWN,
                caller_kind=caller.kind if caller else "",
                peer=peer_of(request.transport),
                via="http",
                act=Act.ADMIN,
                client="",
                audience="",
                scopes=(),
                key="",
                decision=denied if error else "allow",
                rule="",
                status="OK" if error is None else error.reason,
                reason=error.reason if error else "",
                generation=0,
                token_sha256="",
                detail=request.path,
            )
        )


def _answer(text: str, content_type: str, headers: dict[str, str]) -> web.Response:
    answer = web.Response(text=text, content_type=content_type, headers=headers)
    answer.enable_compression()
    return answer
