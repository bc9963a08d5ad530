"""The settings of the top level."""

from typing import Annotated, Literal

from pydantic import Field

from mintonce_server.config.part import File, Part
from mintonce_server.config.types import Duration, Flag, Kind, Listen, Lower, Mode


class ServerSettings(Part):
    """The top level."""

    listen: Listen = Field(default="127.0.0.1:50051", description="Where to serve gRPC: `HOST:PORT` or `unix:/PATH`.")
    bearer_listen: Listen | None = Field(
        default=None,
        description="One more address, by TLS, for callers that have a JWT or an API key and no certificate.",
    )
    health_listen: Listen | None = Field(
        default=None, description="An address in clear for probes: it answers grpc.health.v1 and nothing else."
    )
    socket_mode: Mode = Field(default="0600", description="Who may reach a `unix:` socket, as chmod writes it.")
    insecure_listen: Flag = Field(
        default=False, description="Listen beyond loopback though callers prove no identity, or in clear."
    )
    api_keys_file: File | None = Field(
        default=None, description="Callers' API keys, hashed. `mintonced apikey NAME` makes one."
    )
    policy_file: File | None = Field(
        default=None, description="Which caller may have which tokens; see docs/security/policy.md."
    )
    audit_file: File | None = Field(default=None, description="Where each decision and each mint is written down.")
    audit_interval: Duration = Field(
        default=60.0,
        ge=1,
        le=86_400,
        description="Refused calls of one caller or network are counted for this long, then written in one line.",
    )
    sealing_keys_file: File | None = Field(
        default=None, description="The keys that seal tokens in the store. `mintonced keygen` makes them."
    )
    insecure_store: Flag = Field(
        default=False,
        description="Do without `sealing_keys_file` beyond loopback: the store's readers have the tokens.",
    )
    insecure_redis: Flag = Field(
        default=False,
        description="Speak with Redis in clear beyond loopback: whoever is in between reads the password.",
    )
    insecure_issuer: Flag = Field(default=False, description="Send secrets over plain `http://` beyond loopback.")
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Lower, Kind("`debug`, `info`, `warning` or `error`")
    ] = Field(default="info", description="The least level that is logged.")
    log_format: Annotated[Literal["json", "console"], Lower, Kind("`json` or `console`")] = Field(
        default="json", description="How a log line looks."
    )
    reflection: Flag = Field(default=False, description="Serve gRPC reflection.")
    so_reuseport: Flag = Field(default=False, description="Let several processes listen on the same port.")
    store_outage: Annotated[Literal["mint", "refuse"], Lower, Kind("`mint` or `refuse`")] = Field(
        default="mint", description="While the store is out of reach and memory has no token: mint alone, or refuse."
    )
    drain_seconds: Duration = Field(
        default=10.0, le=3600, description="How long calls in flight may take to finish at the end."
    )
    max_message_bytes: int = Field(
        default=65_536, ge=1024, le=2**24, description="The longest request that is accepted."
    )
    max_metadata_bytes: int = Field(default=16_384, ge=1024, le=2**20, description="The longest metadata of a request.")
    max_concurrent_rpcs: int = Field(
        default=10_000,
        ge=1,
        le=2**20,
        description="Calls in progress at each address, watches included; more are refused. Callers without a valid"
        " identity have places of their own.",
    )
    max_streams_per_connection: int = Field(
        default=2000,
        ge=1,
        le=10**6,
        description="Calls in progress on one connection, watches included; clients wait with more.",
    )
    message_timeout: Duration = Field(
        default=5.0, ge=0.1, le=300, description="How long a call's message may come after its headers."
    )
    max_connection_age: Duration = Field(
        default=1800.0, gt=0, description="Callers connect anew so often: a certificate that is revoked ends then."
    )
    max_keys_per_client: int = Field(
        default=10_000,
        ge=1,
        le=10**7,
        description="Keys of one client that a replica holds. Callers share the places fairly; unused keys make room.",
    )
    max_watches_per_caller: int = Field(default=1000, ge=1, le=10**6, description="Watches of one caller at a time.")
    max_calls_per_caller: int = Field(default=2000, ge=1, le=10**6, description="Calls of one caller at a time.")
    anonymous_callers: int = Field(
        default=10,
        ge=1,
        le=10**6,
        description="Where callers prove no identity, all of them together have the limits of this many callers.",
    )
    mints_per_second: float = Field(
        default=20.0,
        gt=0,
        le=10**6,
        description="Calls of one caller that may cause a mint, each second, in the long run.",
    )
    mint_burst: int = Field(default=500, ge=1, le=10**6, description="Such calls at once.")
    rejects_per_second: float = Field(
        default=1.0, gt=0, le=10**6, description="Rejections by one caller, each second, in the long run."
    )
    reject_burst: int = Field(default=20, ge=1, le=10**6, description="Rejections at once.")
    reload_interval: Duration = Field(
        default=1.0, ge=0.1, le=3600, description="How often files are looked at for changes."
    )
    min_rotation_interval: Duration = Field(
        default=30.0, le=86_400, description="A rejection of a key counts no oftener."
    )
    mint_deadline: Duration = Field(
        default=10.0, gt=0, le=300, description="How long a mint may take with all that belongs to it."
    )
    lease_seconds: Duration = Field(
        default=3.0, ge=0.5, le=60, description="A lease that is not renewed lapses after this."
    )
    revalidate_seconds: Duration = Field(
        default=5.0,
        ge=0.1,
        le=300,
        description="How old the store's word may be that a token in memory is still current.",
    )
