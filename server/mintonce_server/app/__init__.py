"""The composition root."""

from mintonce_server.app.issuers import identities_of, issuer_of, probe_way
from mintonce_server.app.service import (
    granted_of,
    prove_store,
    reseal,
    serve,
    store_of,
    try_files,
)

__all__ = [
    "granted_of",
    "identities_of",
    "issuer_of",
    "probe_way",
    "prove_store",
    "reseal",
    "serve",
    "store_of",
    "try_files",
]
