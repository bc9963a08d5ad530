"""Settings of earlier versions. Each is an issue that says what to write instead, so that none is ignored silently."""

from typing import Final

RENAMED: Final = {
    "drain_seconds": "drain_timeout",
    "lease_seconds": "lease_ttl",
    "mint_deadline": "mint_timeout",
    "revalidate_seconds": "revalidate_interval",
    "log_format": "log.format",
    "log_level": "log.level",
    "redis.deadline": "timeout",
    "clients.client_secret_file": "client_secret_files",
    **{
        name: f"limits.{name}"
        for name in (
            "anonymous_callers",
            "max_calls_per_caller",
            "max_concurrent_rpcs",
            "max_connection_age",
            "max_keys_per_client",
            "max_streams_per_connection",
            "max_watches_per_caller",
            "message_timeout",
            "mint_burst",
            "mints_per_second",
            "reject_burst",
            "rejects_per_second",
        )
    },
}
"""New names by old ones, without the names of tables: clients.NAME.X is clients.X. Without a dot: in the same table."""

REMOVED: Final = {
    "clients.other_client_secret_file": "add the file to client_secret_files",
    "issuers.timeout": "mint_timeout limits the whole mint",
    "max_message_bytes": "the limit is 64 KiB",
    "max_metadata_bytes": "the limit is 16 KiB",
    "reload_interval": "files are checked every second",
    "so_reuseport": "processes do not share a port",
}
"""Why there is no such setting any more."""

OLD_VARIABLES: Final = {"CLIENT_SECRET_FILE": ("clients", "default", "client_secret_file")}
"""Short names of variables, with the paths of what they set."""
