"""An issuer that said that no tokens are left is not asked in vain."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mintonce_server.core import events
from mintonce_server.core.errors import IssuerThrottled
from mintonce_server.core.key import TokenKey
from mintonce_server.core.quota import QuotaWindow
from mintonce_server.core.quota_guard import MAX_ACCOUNTS, NoTokensLeft, TokenQuotas
from mintonce_server.core.token import Minted
from support.samples import KEY
from support.scripted_issuer import ScriptedIssuer
from support.workbench import Workbench

NONE_LEFT = (QuotaWindow("client per_hour", True, 10, 0, 200.0),)
SOME_LEFT = (QuotaWindow("client per_hour", True, 10, 3, 200.0),)
NO_REQUESTS = (QuotaWindow("requests", False, 10, 0, 200.0),)


class TalkativeIssuer(ScriptedIssuer):
    """Says this about its quotas with each answer."""

    says: Sequence[QuotaWindow] = ()

    async def mint(self, key: TokenKey) -> Minted:
        minted = await super().mint(key)
        return replace(minted, quota=tuple(self.says))


def bench_that_says(*windows: QuotaWindow) -> tuple[Workbench, TalkativeIssuer]:
    bench = Workbench(issuer_account="acme")
    issuer = bench.issuer = TalkativeIssuer(bench.clock)
    issuer.says = windows
    bench.broker = bench._build()
    return bench, issuer


def other(name: str) -> TokenKey:
    return TokenKey.of(KEY.client, f"https://{name}.example.com/")


async def test_no_post_is_made_while_no_tokens_are_left_and_the_fleet_waits_with_it() -> None:
    """The key's back-off is in the store, so another replica does not try either."""
    bench, issuer = bench_that_says(*NONE_LEFT)
    replica = bench.replica()
    await bench.get()
    with pytest.raises(IssuerThrottled) as caught:
        await bench.get(other("second"))
    assert 190.0 < (caught.value.retry_after or 0.0) <= 200.0
    with pytest.raises(IssuerThrottled):
        await replica.get(other("second"))
    assert issuer.mints == 1
    assert [event.posted for event in bench.events(events.MintFailed)] == [False]
    assert [event.windows for event in bench.events(events.QuotaSaid)] == [NONE_LEFT]
    bench.clock.advance(201.0)
    await bench.get(other("second"))
    assert issuer.mints == 2


@pytest.mark.parametrize("windows", [SOME_LEFT, NO_REQUESTS, ()])
async def test_other_words_hold_nothing_back(windows: tuple[QuotaWindow, ...]) -> None:
    """A limit of requests does not count tokens: the next second may have room again."""
    bench, issuer = bench_that_says(*windows)
    for name in ("first", "second"):
        await bench.get(other(name))
    assert issuer.mints == 2


def test_a_quota_that_is_not_enforced_holds_back_once() -> None:
    """A token came though none was left."""
    quotas = TokenQuotas()
    quotas.learn("a", NONE_LEFT, 0.0, minted=True)
    with pytest.raises(NoTokensLeft):
        quotas.check("a", 199.0)
    quotas.check("a", 200.0)
    quotas.learn("a", NONE_LEFT, 200.0, minted=True)
    quotas.check("a", 201.0)


def test_a_quota_that_is_enforced_holds_back_again() -> None:
    """The request after the pause was refused. Each pause lasts five minutes at most."""
    quotas = TokenQuotas()
    for at in (0.0, 1000.0):
        quotas.learn("a", (QuotaWindow("client per_day", True, 1, 0, 80_000.0),), at, minted=False)
        with pytest.raises(NoTokensLeft):
            quotas.check("a", at + 299.0)
        quotas.check("a", at + 300.0)
    quotas.learn("a", SOME_LEFT, 1000.0, minted=True)
    quotas.check("a", 1001.0)


def test_accounts_are_apart_and_few() -> None:
    """Each rotated secret begins one."""
    quotas = TokenQuotas()
    for number in range(MAX_ACCOUNTS + 5):
        quotas.learn(str(number), NONE_LEFT, 0.0, minted=True)
    quotas.check("another", 1.0)
    quotas.check("0", 1.0)
    assert len(quotas._ends) == MAX_ACCOUNTS
