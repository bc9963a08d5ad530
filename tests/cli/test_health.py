"""`mintonced health`: cheap, and at the address that the settings say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mintonce_server.api.health import LIVENESS, READINESS
from mintonce_server.api.server import ADMIN_SERVICE, TOKEN_SERVICE
from mintonce_server.cli.health import LISTEN, NoHealthAddress, address, main
from mintonce_server.config import load
from mintonce_server.config.models import ServerSettings
from support.settings import COMPLETE

HEAVY = {
    "asyncio", "cryptography", "google", "grpc", "grpc_health", "httpx", "joserfc", "mintonce", "pydantic",
    "pydantic_settings", "redis", "structlog",
}  # fmt: skip

ROOT = Path(__file__).parents[2]
SERVICES = {"", READINESS, LIVENESS, TOKEN_SERVICE, ADMIN_SERVICE}
PROBE = re.compile(r"(?m)^\s*(\w+)Probe: \{grpc: \{port: (\d+), service: ([\w.]+)\}")


def test_a_probe_imports_nothing_heavy() -> None:
    """At most 0.1 CPU-seconds each time: grpc alone takes most of that, the settings take twice as much."""
    code = (
        "import sys; from mintonce_server.__main__ import main;"
        "sys.argv = ['mintonced', 'health', '--target', '127.0.0.1:1']; code = main();"
        "print(*sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    imported = {name.partition(".")[0] for name in done.stdout.split()}
    assert "does not answer" in done.stderr
    assert "h2" in imported
    assert imported & HEAVY == set()


@pytest.mark.parametrize(
    ("lines", "environ"),
    [
        ("", {}),
        ('listen = "127.0.0.1:6000"', {}),
        ('listen = "127.0.0.1:6000"', {"MINTONCE_LISTEN": "127.0.0.1:6001"}),
        ('listen = "127.0.0.1:6000"', {"MINTONCE_LISTEN": ""}),
        ('health_listen = "127.0.0.1:6002"', {}),
        ('health_listen = "127.0.0.1:6002"', {"MINTONCE_LISTEN": "127.0.0.1:6001"}),
        ("", {"MINTONCE_HEALTH_LISTEN": "127.0.0.1:6003"}),
        ("", {"MINTONCE_health_listen": "127.0.0.1:6003"}),
    ],
)
def test_the_address_is_the_one_that_the_settings_say(tmp_path: Path, lines: str, environ: dict[str, str]) -> None:
    """It is read without the settings' own code, so the two are compared."""
    config = tmp_path / "mintonce.toml"
    config.write_text(f"{lines}\n{COMPLETE}")
    config.chmod(0o600)

    settings = load(config, environ)

    assert address(config, environ) == (settings.health_listen or settings.listen)
    assert address(None, environ | {"MINTONCE_CONFIG": str(config)}) == address(config, environ)


def test_without_any_settings_it_is_the_default() -> None:
    """The same text as in the settings."""
    assert address(None, {}) == LISTEN == ServerSettings.model_fields["listen"].default


@pytest.mark.parametrize("environ", [{"MINTONCE_TLS__CERTIFICATE_FILE": "/c"}, {"MINTONCE_CONFIG": "TLS"}])
def test_where_there_is_tls_a_probe_needs_its_own_address(tmp_path: Path, environ: dict[str, str]) -> None:
    """It shows no certificate. `health_listen`, or a Unix socket, is queried in clear."""
    config = tmp_path / "mintonce.toml"
    config.write_text('[tls]\ncertificate_file = "/c"\n')
    environ = {name: str(config) if text == "TLS" else text for name, text in environ.items()}

    with pytest.raises(NoHealthAddress):
        address(None, environ)

    assert address(None, environ | {"MINTONCE_HEALTH_LISTEN": "127.0.0.1:6003"}) == "127.0.0.1:6003"
    assert address(None, environ | {"MINTONCE_LISTEN": "unix:/run/s"}) == "unix:/run/s"


@pytest.mark.parametrize("target", ["https://127.0.0.1:50051", "http://localhost:50051/"])
def test_a_url_is_no_target(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The error does not say that nothing answers there: nothing was asked."""
    assert main(["--target", target]) == 1
    assert capsys.readouterr().err == (
        "mintonced: --target is an address, and not a URL\nWrite it as HOST:PORT or unix:/PATH.\n"
    )


@pytest.mark.parametrize("content", [None, b"not = = toml", b"\xff"])
def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path, content: bytes | None) -> None:
    """With the command that says more."""
    config = tmp_path / "mintonce.toml"
    if content is not None:
        config.write_bytes(content)

    with pytest.raises(NoHealthAddress) as caught:
        address(config, {})

    assert "mintonced check" in caught.value.remedy


def test_the_documented_probes_ask_services_that_exist() -> None:
    """Kubernetes takes NOT_FOUND for a failure: a wrong name would restart every replica."""
    text = (ROOT / "docs/operating/kubernetes.md").read_text()
    probes = {kind: (port, service) for kind, port, service in PROBE.findall(text)}

    assert probes.keys() == {"startup", "readiness", "liveness"}
    assert {service for _, service in probes.values()} <= SERVICES
    assert probes["liveness"][1] == LIVENESS
    assert probes["readiness"][1] == READINESS
    assert f"0.0.0.0:{probes['liveness'][0]}" in text
