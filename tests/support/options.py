"""Options of the engine that a test need not care about. A test that does uses `dataclasses.replace`."""

from typing import Final

from mintonce_server.core.broker import BrokerOptions
from mintonce_server.core.limits import QuotaOptions

BROKER_OPTIONS: Final = BrokerOptions(
    mint_deadline=10.0,
    min_rotation_interval=30.0,
    revalidate_within=5.0,
    mint_in_outage=True,
    max_keys_per_client=1_000_000,
)
QUOTA_OPTIONS: Final = QuotaOptions(
    mints_per_second=20.0,
    mint_burst=500,
    rejects_per_second=1.0,
    reject_burst=20,
    max_watches_per_caller=1000,
    max_calls_per_caller=2000,
    anonymous_callers=10,
)
