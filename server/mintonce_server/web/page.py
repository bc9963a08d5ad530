"""The status page as HTML. Pure: the same values give the same text."""

import base64
import hashlib
from collections.abc import Callable
from functools import partial
from html import escape
from importlib import resources
from typing import Final

from mintonce_server.core.findings import duration
from mintonce_server.core.status import KeyFilter, ReplicaView, StatusSnapshot
from mintonce_server.web import sections
from mintonce_server.web.markup import SIGNS, clock, guarded, moment, took


def _file(name: str) -> str:
    return resources.files("mintonce_server.web").joinpath(name).read_text(encoding="utf-8").strip()


STYLE: Final = _file("page.css")
SCRIPT: Final = _file("page.js")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


POLICY: Final = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""The Content-Security-Policy: nothing but what stands in the page itself."""

_MARK: Final = (
    '<svg class="i mark" viewBox="0 0 24 24" aria-hidden=true><circle cx=12 cy=12 r=9.5 />'
    '<path d="M7 15.5v-6l5 5 5-5v6"/></svg>'
)
"""A coin with an M."""


def document(snapshot: StatusSnapshot, wanted: KeyFilter, refresh: int | None = None) -> str:
    """The whole page. `refresh`: seconds after which a browser without JavaScript asks again."""
    again = f"<meta http-equiv=refresh content={refresh}>" if refresh else ""
    return (
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{escape(_title(snapshot))}</title>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        '<meta name=color-scheme content="light dark">'
        f"{again}<style>{STYLE}</style></head><body>{SIGNS}<a class=skip href=#main>To the content</a>"
        f"<header><h1>{_MARK}Mintonce</h1><div class=live><p id=stale class=notice role=status hidden></p>"
        "<label hidden><input type=checkbox id=refresh checked>Refresh every 5 s</label></div></header>"
        f"{fragment(snapshot, wanted)}<footer><span>Read-only.</span><a href=/status.json>status.json</a>"
        f"<a href=/metrics>metrics</a></footer><script>{SCRIPT}</script></body></html>"
    )


def fragment(snapshot: StatusSnapshot, wanted: KeyFilter) -> str:
    """All that changes."""
    drawn = "".join(guarded(draw, name) for name, draw in _parts(snapshot, wanted))
    return (
        f'<main id=main data-title="{escape(_title(snapshot))}" data-as-of="{clock(snapshot.as_of)} UTC">{drawn}</main>'
    )


def _title(snapshot: StatusSnapshot) -> str:
    return f"{snapshot.sentence} Mintonce {snapshot.replica.name}".strip()


def _parts(snapshot: StatusSnapshot, wanted: KeyFilter) -> list[tuple[str, "partial[str]"]]:
    return [
        ("This replica", partial(_replica, snapshot.replica, snapshot.as_of)),
        ("The verdict", partial(sections.verdict, snapshot)),
        ("The overview", partial(sections.cards, snapshot)),
        ("Lives and mints", partial(_pair, snapshot, sections.lives, sections.mints)),
        ("Issuers", partial(sections.issuers, snapshot)),
        ("Clients", partial(sections.clients, snapshot)),
        ("Budget and replicas", partial(_pair, snapshot, sections.budget, sections.fleet)),
        ("Keys", partial(sections.keys, snapshot, wanted)),
        ("Last events", partial(sections.events, snapshot)),
        ("Denied callers and files", partial(_pair, snapshot, sections.callers, sections.files)),
    ]


def _pair(snapshot: StatusSnapshot, *draw: Callable[[StatusSnapshot], str]) -> str:
    """Side by side, where there is room."""
    both = "".join(each(snapshot) for each in draw)
    return f"<div class=pair>{both}</div>" if both else ""


def _replica(replica: ReplicaView, as_of: float) -> str:
    said = [f"<b>{escape(replica.name)}</b>"] if replica.name else []
    said += [escape(replica.version)] if replica.version else []
    said.append(f"up {duration(replica.up_for)}")
    if replica.loop_lag is not None:
        said.append(f"loop lag {took(replica.loop_lag)}")
    if replica.memory_bytes is not None:
        said.append(f"{replica.memory_bytes / 2**20:,.0f} MiB")
    said.append(f"as of {moment(as_of, 0.0, f'{clock(as_of)} UTC')}")
    return f'<p class="soft who">{" · ".join(said)}</p>'
