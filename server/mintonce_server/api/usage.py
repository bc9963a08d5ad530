"""GetUsage: from what was counted to the message."""

from collections.abc import Callable

from google.protobuf.duration_pb2 import Duration

from mintonce.v1 import admin_pb2
from mintonce_server.core.budget import Month, needed
from mintonce_server.core.errors import MintonceError
from mintonce_server.core.token import Token
from mintonce_server.core.usage import ClientUsage, IssuerQuota


class Lifetimes:
    """Collects the lifetimes of a client's live tokens from the store, of those that `may_list` accepts."""

    def __init__(self, may_list: Callable[[Token], bool]) -> None:
        self._may_list = may_list
        self._found: dict[str, float] = {}

    def offer(self, token: Token) -> bool:
        """Consider a token. Always False: only its lifetime is kept. A scan may return it twice."""
        if self._may_list(token):
            self._found[token.key_hash] = token.lifetime
        return False

    def needed(self, month: Month) -> int:
        """Tokens that these keys need in a month."""
        return needed(self._found.values(), month.ends - month.starts)


def month_of(request: admin_pb2.GetUsageRequest) -> Month | None:
    """None for the current one. Raises InvalidRequest."""
    return Month.parse(request.month) if request.month else None


def not_counted() -> MintonceError:
    """For a server that counts nothing."""
    return MintonceError("this server does not count tokens", remedy="Ask a server of `mintonced serve`.")


def usage_message(
    used: ClientUsage, needed: int, quotas: tuple[IssuerQuota, ...], now_unix: float
) -> admin_pb2.GetUsageResponse:
    """The answer. `now_unix`: by the store's clock."""
    is_now = used.month == Month.at(now_unix)
    message = admin_pb2.GetUsageResponse(
        client=used.client,
        month=str(used.month),
        minted=used.usage.minted,
        failed=used.usage.failed,
        served=used.usage.served,
        saved=used.usage.saved,
        needed=needed,
        cost=used.cost,
        currency=used.budget.currency if used.budget and used.cost else "",
    )
    if (budget := used.budget) is not None:
        message.budget.tokens_per_month = budget.per_month or 0
        message.budget.tokens_per_day = budget.per_day or 0
        message.budget.used_in_month = used.usage.mints
        message.budget.used_today = used.usage.on(used.month.day(now_unix)) if is_now else 0
        message.budget.needed_only = budget.needed_only
    if (forecast := used.forecast) is not None:
        message.forecast.expected = forecast.expected
        message.forecast.least = forecast.least
        message.forecast.most = forecast.most
    message.issuer_quotas.extend(_quota_message(quota, now_unix) for quota in quotas)
    return message


def _quota_message(quota: IssuerQuota, now_unix: float) -> admin_pb2.IssuerQuota:
    window = quota.window
    message = admin_pb2.IssuerQuota(
        window=window.name, counts_tokens=window.counts_tokens, limit=window.limit, remaining=window.remaining
    )
    if quota.ends_at is not None:
        message.reset_in.CopyFrom(Duration(seconds=max(0, int(quota.ends_at - now_unix))))
    return message
