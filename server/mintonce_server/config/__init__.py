"""Settings: the only reader of the environment and of config files."""

from mintonce_server.config.effective import effective
from mintonce_server.config.issuer_models import BudgetSettings, ClientSettings, IssuerSettings
from mintonce_server.config.issuer_types import ENVIRONMENT, is_header_value, proxy_url, proxy_variables
from mintonce_server.config.issues import SettingsError, ValidationIssue
from mintonce_server.config.load import load, load_explained
from mintonce_server.config.models import (
    HttpSettings,
    JwtIssuerSettings,
    LimitsSettings,
    LogSettings,
    RedisSettings,
    ServerSettings,
    Settings,
    TlsSettings,
    TokenEndpointSettings,
    TracingSettings,
)
from mintonce_server.config.policy_file import parse_policy
from mintonce_server.config.redis_url import TLS_FILE_OPTIONS, access_check_of
from mintonce_server.config.reference import Row, reference, reference_table
from mintonce_server.config.tracing_types import otlp_headers
from mintonce_server.config.types import secret_in
from mintonce_server.core.text import visible

__all__ = [
    "ENVIRONMENT",
    "TLS_FILE_OPTIONS",
    "BudgetSettings",
    "ClientSettings",
    "HttpSettings",
    "IssuerSettings",
    "JwtIssuerSettings",
    "LimitsSettings",
    "LogSettings",
    "RedisSettings",
    "Row",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "TlsSettings",
    "TokenEndpointSettings",
    "TracingSettings",
    "ValidationIssue",
    "access_check_of",
    "effective",
    "is_header_value",
    "load",
    "load_explained",
    "otlp_headers",
    "parse_policy",
    "proxy_url",
    "proxy_variables",
    "reference",
    "reference_table",
    "secret_in",
    "visible",
]
