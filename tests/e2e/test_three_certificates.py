"""Who gets in: a real server with mTLS, a policy and an audit log, and three who knock."""

import json
from pathlib import Path

import pytest

from mintonce import AsyncTokenClient, MintonceError
from mintonce.credentials import Tls
from mintonce_dev.valkey import EmbeddedValkey
from support.certificates import Authority, Issued
from support.replicas import replica
from support.surroundings import issuer_with_log, smallest_settings

POLICY = """
[[rules]]
name = "billing-bills"
callers = ["spiffe://prod.example.com/ns/pay/sa/billing"]
clients = ["default"]
audiences = ["https://api.example.com/*"]
"""
ALLOWED = "spiffe://prod.example.com/ns/pay/sa/billing"
OTHER = "spiffe://prod.example.com/ns/shop/sa/cart"


def guarded_settings(tmp_path: Path, authority: Authority) -> dict[str, str]:
    """mTLS, a policy, an audit log."""
    server, policy = authority.server(), tmp_path / "policy.toml"
    policy.touch(mode=0o600)
    policy.write_text(POLICY)
    return {
        "TLS__CERTIFICATE_FILE": str(server.certificate),
        "TLS__KEY_FILE": str(server.key),
        "TLS__CLIENT_CA_FILE": str(authority.ca),
        "TLS__TRUST_DOMAINS": "prod.example.com",
        "POLICY_FILE": str(policy),
        "AUDIT_FILE": str(tmp_path / "audit.jsonl"),
    }


async def test_three_certificates(tmp_path: Path) -> None:
    """One is allowed, one has no rule, one is of a foreign authority; the audit log has the first two."""
    authority, foreign = Authority(tmp_path), Authority(tmp_path, "foreign")
    async with EmbeddedValkey(tmp_path / "valkey") as valkey:
        with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as issuer:
            settings = {**smallest_settings(issuer, valkey.url), **guarded_settings(tmp_path, authority)}
            async with replica(tmp_path, settings) as server:

                async def get(shown: Issued) -> str:
                    tls = Tls(ca_file=authority.ca, certificate_file=shown.certificate, key_file=shown.key)
                    async with AsyncTokenClient(server.target, tls=tls, timeout=5.0) as client:
                        return (await client.get("default", "https://api.example.com/orders")).access_token

                assert await get(authority.caller(ALLOWED, "allowed"))
                with pytest.raises(MintonceError) as no_rule:
                    await get(authority.caller(OTHER, "other"))
                with pytest.raises(MintonceError) as no_connection:
                    await get(foreign.caller(ALLOWED, "foreign"))

    assert no_rule.value.reason == "PERMISSION_DENIED"
    assert no_connection.value.reason != "PERMISSION_DENIED"
    audit = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    calls = [(line["caller"], line["decision"], line["rule"]) for line in audit if line["kind"] == "call"]
    assert calls == [(ALLOWED, "allow", "billing-bills"), (OTHER, "deny", "")]
    assert [line["outcome"] for line in audit if line["kind"] == "mint"] == ["minted"]
