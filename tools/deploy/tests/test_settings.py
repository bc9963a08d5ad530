"""What the chart renders is what the server takes."""

from pathlib import Path

import pytest

from deploy.manifests import CHART, PLAIN, of_kind, read_yaml, rendered, settings_of, ways
from deploy.tests.pods import container, environment, mount
from mintonce_server.api.health import LIVENESS, READINESS
from mintonce_server.config import Settings, load
from mintonce_server.config.policy_file import parse_policy
from mintonce_server.core.policy import Act

OURS = [path for path in ways() if "own-configmap" not in path.name]
BY_TOKEN = CHART / "ci" / "callers-by-token-values.yaml"
BY_CERTIFICATE = CHART / "ci" / "callers-by-certificate-values.yaml"


def loaded(values: Path, root: Path) -> Settings:
    """As the server in the pod would load them, each file that they name being there."""
    manifests = rendered([values])
    url = b"redis://valkey/0" if values.name.startswith("trial") else b"rediss://valkey/0"
    return load(mount(manifests, root, {"secrets": {"redis-url": url}}), environment(manifests))


@pytest.mark.parametrize("values", OURS, ids=lambda path: path.stem)
def test_the_server_takes_the_settings_of_each_way_of_use(values: Path, tmp_path: Path) -> None:
    """Every name and value in the ConfigMap, every variable, and every file that they name."""
    settings = loaded(values, tmp_path)

    assert settings.clients
    assert settings.limits.max_connection_age == 300


def test_numbers_texts_and_nested_tables_arrive_as_they_were_written(tmp_path: Path) -> None:
    """A whole number stays one: an issuer may be told it."""
    settings = loaded(BY_CERTIFICATE, tmp_path)

    extra = settings.clients["reports"].extra
    assert extra == {"depth": 3, "tags": ["a", "b"], "nested": {"yes_or_no": True, "odd key": 1.5}, "empty": {}}
    assert isinstance(extra["depth"], int)
    assert settings.issuers["sso"].headers["X-Tenant"] == 'a"b'
    assert settings.limits.max_keys_per_client == 10_000_000
    assert (settings.limits.mints_per_second, settings.redis.timeout, settings.drain_timeout) == (0.5, 0.5, 60)
    assert settings.log.format == "console"  # from the variable


def test_the_example_of_a_caller_is_allowed_by_the_example_of_a_policy() -> None:
    """Its service account, as a JWT of the cluster names it."""
    caller = [*map(dict, read_yaml((PLAIN / "caller.yaml").read_text()))]
    account = of_kind(caller, "ServiceAccount")["metadata"]
    (policy,) = (text for name, text in settings_of(rendered([BY_TOKEN])) if name == "policy.toml")

    name = f"jwt:cluster:system:serviceaccount:{account['namespace']}:{account['name']}"
    rules = parse_policy(policy.encode(), "policy.toml", ["billing"])
    assert not rules.remarks
    assert rules.decide(name, Act.GET, "billing", "https://api.example.com/", ()).allowed
    assert not rules.decide(f"{name}-2", Act.GET, "billing", "https://api.example.com/", ()).allowed


@pytest.mark.parametrize("values", ways(), ids=lambda path: path.stem)
def test_probes_ask_for_services_that_the_server_has(values: Path) -> None:
    """At the port in clear."""
    main = container(rendered([values]))
    ports = {port["name"]: port["containerPort"] for port in main["ports"]}
    probes = {name: main[name]["grpc"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}

    assert {name: probe["service"] for name, probe in probes.items()} == {
        "startupProbe": READINESS,
        "readinessProbe": READINESS,
        "livenessProbe": LIVENESS,
    }
    assert {probe["port"] for probe in probes.values()} == {ports["health"]}
