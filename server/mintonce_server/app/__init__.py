"""The composition root."""

from mintonce_server.app.issuers import identities_of, issuer_of, probe_way
from mintonce_server.app.service import (
    granted_of,
    prove_store,
    reseal,
    serve,
    try_files,
)
from mintonce_server.app.store import store_of
from mintonce_server.app.usage import Spent, spent

__all__ = [
    "Spent",
    "granted_of",
    "identities_of",
    "issuer_of",
    "probe_way",
    "prove_store",
    "reseal",
    "serve",
    "spent",
    "store_of",
    "try_files",
]
