"""Whose token it is: a client moves to another tenant, its secret is replaced, two installations share one store."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from chaos import stores
from chaos.guests import directory_of, guests, judged, other_issuer, settings_of, way_to
from chaos.issuers import QUIET
from chaos.processes import IssuerProgram, Member
from chaos.stage import Scenario, Stage
from chaos.workload import Callers, Load
from history.checker import Call

from support.eventually import eventually
from support.servers import names
from support.surroundings import CLIENT_ID, CLIENT_SECRET

GUESTS: Final[tuple[str, ...]] = ("g0", "g1", "g2")
KEYS: Final = 3
BETWEEN: Final = 0.1
OTHER_ID: Final = "id-of-another-tenant"
OTHER_PREFIX: Final = "mintonce:two"
NEW_SECRET: Final = "the-next-secret-canary"
WRONG_SECRET: Final = "a-secret-of-nobody"
ASKED_FOR: Final = 2.0
"""Seconds that callers ask on for what is refused, so that a storm would show."""
RELOADED_WITHIN: Final = 2.0
"""Files are checked every second, and watches a second later."""
WELL_WITHIN: Final = 10.0
Writer = Callable[[Member], Callers]
"""Who writes down the calls of a replica."""


def _keys(stage: Stage) -> list[str]:
    return [f"https://long-{stage.name}.guest-{number}.example.com/" for number in range(KEYS)]


def _posts(issuer: IssuerProgram, audience: str) -> int:
    return sum(post.audience == audience for post in issuer.posts_so_far())


@asynccontextmanager
async def _asking(members: Sequence[Member], audiences: Sequence[str], of: Writer) -> AsyncGenerator[None]:
    """For each key at each replica, again and again, until the end of the block."""

    async def ask() -> None:
        while True:
            await asyncio.gather(*(of(member).get(member, audience) for member in members for audience in audiences))
            await asyncio.sleep(BETWEEN)

    task = asyncio.create_task(ask(), name="asking")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _well(callers: Callers, members: Sequence[Member], audiences: Sequence[str]) -> None:
    for audience in audiences:
        for member in members:
            await _served(callers, member, audience)


async def _served(callers: Callers, member: Member, audience: str) -> Call:
    try:
        return await eventually(partial(callers.get, member, audience), _ok, WELL_WITHIN)
    except TimeoutError:
        raise AssertionError(f"{member.name} gave no token for {audience} within {WELL_WITHIN} s") from None


def _ok(call: Call) -> bool:
    return call.ok


async def moved(stage: Stage) -> None:
    """A rolling update names another tenant: each replica serves its own, and neither hears of the other's."""
    what = stage.chance.choice(list(_CHANGES))
    stage.notes["what"] = list(_CHANGES).index(what)
    old, keys, rig = settings_of(stage.rig), _keys(stage), stage.rig
    async with other_issuer(stage, OTHER_ID if what == "client_id" else CLIENT_ID) as issuer:
        new, way = {**old, **_CHANGES[what]}, way_to(rig, issuer)
        if what == "token_url":
            new, way = old | {"ISSUERS__MAIN__TOKEN_URL": f"http://127.0.0.1:{issuer.port}/oauth/token"}, {}
        async with (
            guests(stage, dict.fromkeys(GUESTS, old)) as members,
            judged(stage, rig.issuer, members, keys, old) as before,
            judged(stage, issuer, members, keys, new) as after,
        ):
            sides: dict[str, Callers] = dict.fromkeys(GUESTS, before)
            async with _asking(members, keys, lambda member: sides[member.name]):
                await _well(before, members, keys)
                for member in stage.chance.sample(members, len(members)):
                    await _restarted(stage, member, new, way)
                    sides[member.name] = after
                    if list(sides.values()).count(after) == 1:
                        await _rejected(after, member, keys[0])
                    await asyncio.sleep(stage.chance.uniform(0.1, 0.8))
                await _well(after, members, keys)
        posts = [(_posts(rig.issuer, key), _posts(issuer, key)) for key in keys]
        wanted = [(1, 2), *[(1, 1)] * (KEYS - 1)]  # the new tenant's first one was rejected
        stage.expect(posts == wanted, f"another {what}: POSTs of old and new tenant {posts}; {wanted} expected")


_CHANGES: Final[Mapping[str, Mapping[str, str]]] = {
    "token_url": {},
    "client_id": {"CLIENTS__DEFAULT__CLIENT_ID": OTHER_ID},
    "extra": {"CLIENTS__DEFAULT__EXTRA__ORGANIZATION": "org_b"},
}
"""In the settings of the new tenant. The way leads to another issuer, so that the tokens tell whose they are."""


async def _restarted(stage: Stage, member: Member, settings: Mapping[str, str], way: Mapping[str, str]) -> None:
    async with stage.fault(member.name, crash=True):
        await member.leave()
        member.settings, member.variables = settings, way
        await member.start()


async def _rejected(callers: Callers, member: Member, audience: str) -> None:
    first = await _served(callers, member, audience)
    call = await callers.reject(member, audience, first.generation)
    assert call.was_current, f"the rejection was not taken: {call.status} {call.reason}"


async def side_by_side(stage: Stage) -> None:
    """Two installations with the same settings but for the prefix ask for the same keys, and the store is killed."""
    rig, keys = stage.rig, stage.audiences
    settings = settings_of(rig, REDIS__PREFIX=OTHER_PREFIX)
    async with (
        other_issuer(stage) as issuer,
        guests(stage, dict.fromkeys(GUESTS[:2], settings), way_to(rig, issuer)) as members,
        judged(stage, issuer, members, keys, settings) as callers,
        callers.busy(keys, Load(callers=4), stage.chance),
    ):
        await _well(callers, members, keys)
        await stores.killed(stage)
        await _well(callers, members, keys)
        here, there = await stage.get(rig.members[0], stage.long), await callers.get(members[0], stage.long)
        await stage.reject(rig.members[0], stage.long, here.generation)
        await asyncio.sleep(rig.setup.revalidate + rig.setup.slack)
        again = await callers.get(members[0], stage.long)
        stage.expect(again.jti == there.jti, "a rejection took the other installation's token away")
        await stage.ask_all(stage.long)
        posts = stage.posts(stage.long), _posts(issuer, stage.long)
        stage.expect(posts == (2, 1), f"{posts} POSTs of the two installations; 2, for one rejection, and 1 expected")
        await _expect_apart(stage)


async def _expect_apart(stage: Stage) -> None:
    """Each has names of its own in the store, for the token of one key and what is known of it, and a channel."""
    server = stage.rig.topology.servers[0]
    found = set(await names(server.command))
    channels = await server.command("PUBSUB", "CHANNELS")
    for prefix in ("mintonce", OTHER_PREFIX):
        wanted = {f"{prefix}:{{{stage.rig.hash(stage.long)}}}:{part}" for part in ("t", "m")}
        stage.expect(wanted <= found, f"the store lacks {sorted(wanted - found)}")
        stage.expect(f"'{prefix}:wake'" in str(channels), f"no replica listens to {prefix}:wake")
    others = [name for name in found if not name.startswith(("mintonce:{", f"{OTHER_PREFIX}:{{"))]
    stage.expect(not others, f"the store has {others}")


async def replaced(stage: Stage) -> None:
    """The issuer takes a new secret only. It comes to the replicas' files one after the other, after wrong ones."""
    files = {name: directory_of(stage) / f"secret-{name}" for name in GUESTS}
    for file in files.values():
        _write(file, CLIENT_SECRET)
    # Another credential than the fleet's: a refusal holds for the account, and both issuers have one URL here.
    usual = settings_of(stage.rig, CLIENTS__DEFAULT__CLIENT_SECRET="", CLIENTS__DEFAULT__CREDENTIAL_VERSION="2")
    settings = {name: usual | {"CLIENTS__DEFAULT__CLIENT_SECRET_FILES": str(file)} for name, file in files.items()}
    held, *cold = [*_keys(stage), f"https://long-{stage.name}.guest-{KEYS}.example.com/"]
    async with (
        other_issuer(stage) as issuer,
        guests(stage, settings, way_to(stage.rig, issuer)) as members,
        judged(stage, issuer, members, [held, *cold], settings[GUESTS[0]]) as callers,
    ):
        await _well(callers, members, [held])
        async with stage.fault("secret", new_secret=True), _asking(members, [held], lambda _: callers):
            await issuer.leave()
            issuer.secret = NEW_SECRET
            await issuer.start()
            wrong = stage.chance.choice((1, 2))
            if wrong == 2:
                await _reloaded(files[GUESTS[0]], WRONG_SECRET, members[0])
            await _refused(stage, callers, members, cold)
            refused = {key: _posts(issuer, key) for key in cold}
            total = sum(refused.values())
            # Two for each secret; but the first one has just worked, so that its POSTs begin together.
            most = len(cold) + 2 * (wrong - 1)
            stage.expect(
                wrong <= total <= most, f"{total} POSTs were refused for {wrong} wrong secrets; at most {most}"
            )
            for member, key in zip(stage.chance.sample(members, len(members)), cold, strict=True):
                await _mended(stage, callers, member, files[member.name], key)
                await _well(callers, members, [key])
                expected = refused[key] + 1
                stage.expect(_posts(issuer, key) == expected, f"{_posts(issuer, key)} POSTs; {expected} expected")
        failed = [call for call in callers.calls if call.audience == held and not call.ok]
        stage.expect(not failed, f"{len(failed)} calls for a live token failed")
        stage.expect(_posts(issuer, held) == 1, f"{_posts(issuer, held)} POSTs for a token that lived all the time")


async def _refused(stage: Stage, callers: Callers, members: Sequence[Member], audiences: Sequence[str]) -> None:
    calls: list[Call] = []
    ends = time.monotonic() + ASKED_FOR
    while time.monotonic() < ends:
        calls += await asyncio.gather(*(callers.get(member, key) for key in audiences for member in members))
        await asyncio.sleep(BETWEEN)
    told = {(call.status, call.reason) for call in calls}
    stage.expect(told == {("FAILED_PRECONDITION", "ISSUER_REFUSED")}, f"callers were told {sorted(told)}")


async def _mended(stage: Stage, callers: Callers, member: Member, file: Path, audience: str) -> None:
    """The replica whose file it is mints soon, whatever was refused to others, and to itself before."""
    _write(file, NEW_SECRET)
    began = time.monotonic()
    await _served(callers, member, audience)
    took = time.monotonic() - began
    stage.notes[f"mended_{member.name}"] = took
    bound = RELOADED_WITHIN + stage.rig.setup.slack
    stage.expect(took <= bound, f"a mended secret worked after {took:.2f} s; {bound:.1f} s at most")


async def _reloaded(file: Path, secret: str, member: Member) -> None:
    before = member.said.read_text().count('"event": "reloaded"')
    _write(file, secret)

    async def count() -> int:
        return member.said.read_text().count('"event": "reloaded"')

    await eventually(count, lambda now: now > before, WELL_WITHIN)


def _write(file: Path, secret: str) -> None:
    """As an operator should: the file is never half a secret."""
    beside = file.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_text(secret)
    beside.rename(file)


SCENARIOS: Final = (
    Scenario("tenant-moved", moved, load=QUIET, keys=0),
    Scenario("tenant-secret", replaced, load=QUIET, keys=0),
    Scenario("two-prefixes", side_by_side, ("single",)),
)
