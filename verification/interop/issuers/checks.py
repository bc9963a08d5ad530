"""What is tried with every server, one feature after the other."""

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from interop.issuers.lab import REPLICAS, Lab
from interop.issuers.proxy import Exchange
from interop.issuers.subject import SECOND_AUDIENCE
from interop.rows import Row

from mintonce import MintonceError, Refused, Unavailable
from support.eventually import eventually
from support.surroundings import claims

CALLS: Final = 20
_LISTS: Final = ("methods_supported", "signing_alg_values_supported")
UNKNOWN_AUDIENCE: Final = "https://unknown.example.com/"
UNKNOWN_SCOPE: Final = "unknown:scope"
BACK_WITHIN: Final = 30.0
WORKS: Final = "works"
REFUSED: Final = "refused"


class Faulty(Exception):
    """Mintonce did not do what it should. The text says what happened instead."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How a feature went, if it did not fail."""

    outcome: Literal["works", "refused"] = WORKS
    note: str = ""


async def mints_once(lab: Lab) -> Finding:
    """All replicas are asked at the same time for a token that nobody has."""
    before = len(lab.proxy.posts())
    name = next(name for name in ("post", "basic") if name in lab.clients)
    tokens = await asyncio.gather(*(lab.get(name, at=at) for at in range(REPLICAS) for _ in range(CALLS)))
    posts = len(lab.proxy.posts()) - before
    if posts != 1 or len({token.access_token for token in tokens}) != 1:
        raise Faulty(f"{posts} POSTs for {len(tokens)} calls")
    return Finding(note=f"{REPLICAS} replicas, {len(tokens)} concurrent calls, 1 POST")


def authenticates(name: str) -> Callable[[Lab], Awaitable[Finding]]:
    """Whether the client of that name gets a token."""

    async def check(lab: Lab) -> Finding:
        await lab.get(name)
        return Finding()

    return check


async def takes_odd_secret(lab: Lab) -> Finding:
    """A secret with characters that mean something in HTTP Basic."""
    await lab.get("odd")
    return Finding(note=f"the secret has {lab.subject.odd}")


async def signs(lab: Lab) -> Finding:
    """Each algorithm that the settings have a client for."""
    names = sorted(name for name in lab.clients if name.startswith("jwt-"))
    failed = [f"{name}: {error.message}" for name in names if (error := await lab.refusal(name))]
    if failed:
        raise Faulty("; ".join(failed))
    return Finding(note=", ".join(name.removeprefix("jwt-") for name in names))


async def names_audience(lab: Lab) -> Finding:
    """Whether the token says that it is for the audience, if it says anything."""
    token = await lab.get(_usual(lab))
    said = claims(token.access_token) if token.access_token.count(".") == 2 else None
    if said is None:
        return Finding(note="taken; the token is opaque")
    stated = said.get("aud", [])
    if lab.subject.audience in ([stated] if isinstance(stated, str) else stated):
        whatever = ", whatever is asked" if lab.subject.unknown_audience == "ignored" else ""
        return Finding(note=f"in the token's aud{whatever}")
    return Finding(REFUSED, f"it cannot be asked for: the token's aud is {json.dumps(said.get('aud'))}")


async def takes_several(lab: Lab) -> Finding:
    """One token for two audiences that the server knows."""
    both = (lab.subject.audience, SECOND_AUDIENCE)
    try:
        token = await lab.get("several", audience=" ".join(both))
    except Refused as error:
        if lab.subject.several == "granted":
            raise
        return Finding(REFUSED, f"{_answered(lab.last_post())}. The caller sees: {_seen(error)}")
    stated = claims(token.access_token)["aud"]
    differs = any(line["client"] == "several" for line in lab.servers[0].events("audience_differs"))
    if lab.subject.several == "refused" or not set(both) <= set(stated) or differs:
        raise Faulty(f"the token's aud is {json.dumps(stated)}{', and the log says that it differs' * differs}")
    return Finding(note="both are in the token's aud")


async def adds_default_scopes(lab: Lab) -> Finding:
    """A caller requests no scope; the client has `default_scopes`."""
    token = await lab.get("scoped")
    if token.scopes != (lab.subject.scope,):
        raise Faulty(f"granted: {' '.join(token.scopes) or 'nothing'}")
    return Finding()


async def grants_scope(lab: Lab) -> Finding:
    """A scope that the client may have."""
    token = await lab.get(_usual(lab), [lab.subject.scope])
    if lab.subject.scope not in token.scopes:
        raise Faulty(f"granted: {' '.join(token.scopes) or 'nothing'}")
    return Finding(note="" if token.scopes == (lab.subject.scope,) else f"granted: {' '.join(token.scopes)}")


async def refuses_wrong_secret(lab: Lab) -> Finding:
    """The remedy must speak of the secret; the log must have the issuer's own words, and not the secret."""
    error = await lab.refusal("wrong")
    if not isinstance(error, Refused) or "secret" not in error.remedy:
        raise Faulty(f"{_answered(lab.last_post())}, and the caller sees {_seen(error)}")
    said, logged = _description(lab.last_post()), str(lab.failed_mint("wrong")["issuer_said"])
    if said not in logged or (said and said in _seen(error)):
        raise Faulty(f"the server says {said}, the log {logged}, and the caller sees {_seen(error)}")
    if any(lab.secret("secret-wrong") in server.log.read_text() for server in lab.servers):
        raise Faulty("the secret is in the log")
    in_log = f' There: "{logged}"' if logged else ""
    return Finding(note=f"{_answered(lab.last_post())}. The caller sees: {_seen(error)}{in_log}")


async def tries_second_secret(lab: Lab) -> Finding:
    """The first of two secrets is not valid yet."""
    before = len(lab.proxy.posts())
    error = await lab.refusal("second")
    answers = [exchange.status for exchange in lab.proxy.posts()[before:]]
    if error:
        raise Faulty(f"answers: {answers}; the caller sees {_seen(error)}")
    return Finding(note=f"answers: {', '.join(map(str, answers))}")


async def unknown_audience(lab: Lab) -> Finding:
    """An audience that the server was not told of."""
    client = "asking" if "asking" in lab.clients else _usual(lab)
    error = await lab.refusal(client, audience=UNKNOWN_AUDIENCE)
    return _as_expected(lab, lab.subject.unknown_audience, error)


async def unknown_scope(lab: Lab) -> Finding:
    """A scope that the server was not told of.

    An answer without `scope` means that all was granted (RFC 6749, section 5.1). Nothing else in it says otherwise: a
    JWT need not have a claim for scopes. So a server that drops one silently misleads every client.
    """
    error = await lab.refusal(_usual(lab), [UNKNOWN_SCOPE])
    if error is None and lab.subject.unknown_scope == "dropped":
        said = json.loads(lab.last_post().body)
        if "scope" in said:
            raise Faulty(f"the answer's scope is {json.dumps(said['scope'])}")
        return Finding(
            REFUSED,
            "dropped silently: the answer has no `scope`, which means that the requested ones were granted (RFC 6749, "
            "section 5.1), and Mintonce says so to the caller",
        )
    return _as_expected(lab, lab.subject.unknown_scope, error)


async def has_metadata(lab: Lab) -> Finding:
    """RFC 8414 or OpenID Connect Discovery: where, and what it says of the token endpoint."""
    found = {path: document for path in lab.subject.metadata if (document := await _document(lab, path))}
    if not found:
        return Finding(REFUSED, "no metadata document")
    first = next(iter(found.values()))
    lists = "; ".join(f"{name}: {' '.join(listed)}" for name in _LISTS if (listed := _names(first, name)))
    issuer, endpoint = (str(first.get(name)).replace(lab.proxy.url, "URL") for name in ("issuer", "token_endpoint"))
    return Finding(note=f"at {', '.join(found)}: issuer {issuer}, token_endpoint {endpoint}; {lists}")


async def answers_as(lab: Lab) -> Finding:
    """The members of its answer, as it sends them."""
    await lab.get(_usual(lab), at=1)
    answer = next(exchange for exchange in reversed(lab.proxy.posts()) if exchange.status < 300)
    said = cast("dict[str, Any]", json.loads(answer.body))
    shown = {name: said[name] for name in ("token_type", "expires_in") if name in said}
    others = sorted(said.keys() - shown.keys() - {"access_token"})
    return Finding(note=f"{json.dumps(shown)}{', and ' * bool(others)}{', '.join(others)}")


async def outlives_outage(lab: Lab) -> Finding:
    """While it is out of reach, known tokens are served; when it is back, new ones are minted."""
    known = await lab.get(_usual(lab))
    lab.proxy.stop()
    try:
        error = await lab.refusal("later")
        served = await lab.get(_usual(lab))
    finally:
        lab.proxy.start()
    if not isinstance(error, Unavailable) or served.access_token != known.access_token:
        raise Faulty(f"the caller sees {_seen(error)}")
    await eventually(lambda: lab.refusal("later"), lambda refused: refused is None, within=BACK_WITHIN)
    return Finding(note=f"meanwhile a caller with a new key sees: {_seen(error)}")


async def is_checked(lab: Lab) -> Finding:
    """`mintonced check` with the same settings."""
    code, output = await lab.check()
    if code:
        raise Faulty(output.replace(lab.proxy.url, "URL"))
    return Finding(note=output.strip().splitlines()[-1])


async def is_tried(lab: Lab) -> Finding:
    """`mintonced check --mint`, with an unknown audience too."""
    code, output = await lab.check("--mint", _usual(lab), lab.subject.audience, "--unknown-audience", "--yes")
    if code or "minted" not in output or "unknown" not in output:
        raise Faulty(_report(lab, output))
    return Finding(note=_report(lab, output))


async def says_why_not(lab: Lab) -> Finding:
    """`mintonced check --mint` with a client whose secret is wrong."""
    code, output = await lab.check("--mint", "wrong", lab.subject.audience, "--yes")
    if code != 1 or "secret" not in _report(lab, output):
        raise Faulty(_report(lab, output))
    return Finding(note=_report(lab, output))


CHECKS: Final[Mapping[str, tuple[str, Callable[[Lab], Awaitable[Finding]]]]] = {
    "mints once": ("", mints_once),
    "client_secret_post": ("post", authenticates("post")),
    "client_secret_basic": ("basic", authenticates("basic")),
    "client_secret_basic, odd secret": ("odd", takes_odd_secret),
    "private_key_jwt": ("jwt-", signs),
    "tls_client_auth": ("certified", authenticates("certified")),
    "audience": ("", names_audience),
    "several audiences": ("several", takes_several),
    "scope": ("", grants_scope),
    "default scopes": ("scoped", adds_default_scopes),
    "wrong secret": ("wrong", refuses_wrong_secret),
    "second secret after a refusal": ("second", tries_second_secret),
    "unknown audience": ("", unknown_audience),
    "unknown scope": ("", unknown_scope),
    "metadata": ("", has_metadata),
    "answer": ("", answers_as),
    "outage and return": ("later", outlives_outage),
    "mintonced check": ("", is_checked),
    "mintonced check --mint --unknown-audience": ("", is_tried),
    "mintonced check --mint, wrong secret": ("wrong", says_why_not),
}
"""By feature: how the client's name begins without which it cannot be tried, and the check."""


async def outcome(lab: Lab, feature: str) -> Row:
    """Tries one feature."""
    client, check = CHECKS[feature]
    name, version = lab.subject.name, lab.running.version
    if why := lab.subject.not_tried.get(feature):
        return Row(name, version, feature, "not run", why)
    if why := lab.subject.absent.get(feature):
        return Row(name, version, feature, "refused", why)
    if not any(known.startswith(client) for known in lab.clients):
        return Row(name, version, feature, "refused", "the server does not have it")
    try:
        finding = await check(lab)
    except Faulty as faulty:
        return Row(name, version, feature, "fails", str(faulty))
    except MintonceError as error:
        return Row(name, version, feature, "fails", _seen(error))
    except Exception as error:  # noqa: BLE001 - such as a time-out; the other rows are tried all the same
        return Row(name, version, feature, "fails", f"{type(error).__name__}: {error}")
    return Row(name, version, feature, finding.outcome, finding.note)


def _usual(lab: Lab) -> str:
    return next(name for name in ("post", "basic") if name in lab.clients)


def _as_expected(lab: Lab, expected: str, error: MintonceError | None) -> Finding:
    answered = _answered(lab.last_post())
    if (error is None) == (expected == "refused"):
        raise Faulty(f"{answered}, and the caller sees {_seen(error)}")
    if error is None:
        return Finding(
            REFUSED, f"{expected}: sent as `resource`, the server answers {lab.last_post().status} with a token"
        )
    if not isinstance(error, Refused):
        raise Faulty(f"{answered}, and the caller sees {_seen(error)}")
    return Finding(note=f"{answered}. The caller sees: {_seen(error)}")


def _seen(error: MintonceError | None) -> str:
    """What a person reads of an error."""
    if error is None:
        return "a token"
    return f"{error.reason}: {error.message} → {error.remedy}"


def _answered(exchange: Exchange) -> str:
    body = exchange.body.decode(errors="replace").strip()
    shown = "a token" if exchange.status < 300 else body[:300] or "an empty body"
    return f"The server answers {exchange.status}, {shown}"


def _description(exchange: Exchange) -> str:
    """What the server says of an error in its own words, or nothing."""
    return str(json.loads(exchange.body).get("error_description", "")) if exchange.body.strip() else ""


_CHANGING: Final = re.compile(r" +kind .*\n")
"""What differs in each run: the claims."""


def _report(lab: Lab, output: str) -> str:
    """What `check --mint` says behind the verdict, without what differs in each run."""
    report = _CHANGING.sub("", output.rpartition("Verdict:")[2].partition("\n")[2])
    lines = re.sub(r"(urn:mintonce:unknown):[0-9a-f]+", r"\1:…", report).replace(lab.proxy.url, "URL").splitlines()
    own = (" ".join(line.split()) for line in lines if line.strip() and not line.startswith("{"))  # that is the log
    return " | ".join(own)


def _names(document: Mapping[str, Any], name: str) -> list[str]:
    return cast("list[str]", document.get(f"token_endpoint_auth_{name}", []))


async def _document(lab: Lab, path: str) -> dict[str, Any]:
    """A metadata document, or nothing."""

    def read() -> dict[str, Any]:
        try:
            with urllib.request.urlopen(lab.proxy.url + path, timeout=10.0) as answer:
                return cast("dict[str, Any]", json.load(answer))
        except (urllib.error.HTTPError, ValueError):  # there is none, or another page
            return {}

    return await asyncio.to_thread(read)
