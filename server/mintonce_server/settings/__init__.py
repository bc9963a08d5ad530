"""What the program is told: the only reader of the environment and of config files."""

from mintonce_server.settings.faults import Fault, SettingsError, visible
from mintonce_server.settings.loading import load
from mintonce_server.settings.models import ClientSettings, IssuerSettings, RedisSettings, ServerSettings, Settings
from mintonce_server.settings.reference import Row, reference, reference_table
from mintonce_server.settings.values import listens_beyond_loopback

__all__ = [
    "ClientSettings",
    "Fault",
    "IssuerSettings",
    "RedisSettings",
    "Row",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "listens_beyond_loopback",
    "load",
    "reference",
    "reference_table",
    "visible",
]
