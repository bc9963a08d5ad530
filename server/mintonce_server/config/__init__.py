"""What the program is told: the only reader of the environment and of config files."""

from mintonce_server.config.faults import Fault, SettingsError
from mintonce_server.config.files import FileFault, read_regular, refuse_if_open, refuse_if_writable, secret_in
from mintonce_server.config.guard_checks import identities
from mintonce_server.config.load import load
from mintonce_server.config.models import (
    ClientSettings,
    IssuerSettings,
    JwtIssuerSettings,
    RedisSettings,
    Settings,
    TlsSettings,
)
from mintonce_server.config.policy_file import parse_policy
from mintonce_server.config.redis_tls import FILES as REDIS_TLS_FILES
from mintonce_server.config.redis_tls import guard_of
from mintonce_server.config.reference import Row, reference, reference_table
from mintonce_server.config.server import ServerSettings
from mintonce_server.config.types import listens_beyond_loopback
from mintonce_server.core.text import visible

__all__ = [
    "REDIS_TLS_FILES",
    "ClientSettings",
    "Fault",
    "FileFault",
    "IssuerSettings",
    "JwtIssuerSettings",
    "RedisSettings",
    "Row",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "TlsSettings",
    "guard_of",
    "identities",
    "listens_beyond_loopback",
    "load",
    "parse_policy",
    "read_regular",
    "reference",
    "reference_table",
    "refuse_if_open",
    "refuse_if_writable",
    "secret_in",
    "visible",
]
