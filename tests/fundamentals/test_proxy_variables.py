"""What the usual variables of the environment say about proxies."""

import pytest

from mintonce_server.common.proxies import ProxyVariables

URL = "https://login.example.com/oauth/token"


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "http://small:3128", "HTTPS_PROXY": "http://large:3128"}, "http://small:3128"),
        ({"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128"),
        ({"ALL_PROXY": "socks5://proxy:1080"}, "socks5://proxy:1080"),
        ({"HTTP_PROXY": "http://proxy:3128"}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"Https_Proxy": "http://proxy:3128"}, None),
    ],
)
def test_the_variable_of_the_scheme_counts_then_all_proxy(environ: dict[str, str], proxy: str | None) -> None:
    """In small or capital letters."""
    assert ProxyVariables(environ).proxy_for(URL) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "is_direct"),
    [
        ("login.example.com", True),
        ("LOGIN.example.com", True),
        ("example.com", True),
        (".example.com", True),
        ("*.example.com", True),
        ("*", True),
        (" other.org , login.example.com", True),
        ("login.example.com:443", False),
        ("login.example.com.", True),
        ("login.example.com:²", False),
        ("login.example.com:8443", True),
        ("ample.com", False),
        ("login.example.com.evil.org", False),
        ("10.0.0.0/8", False),
        ("", False),
        (",", False),
    ],
)
def test_no_proxy_names_hosts_and_domains(no_proxy: str, is_direct: bool) -> None:
    """Whole labels only, and a port if one is named."""
    variables = ProxyVariables({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": no_proxy})
    assert (variables.proxy_for("https://login.example.com:8443/token") is None) is is_direct


@pytest.mark.parametrize(("no_proxy", "is_direct"), [("login.example.com:443", True), ("login.example.com:80", False)])
def test_no_proxy_may_name_the_usual_port(no_proxy: str, is_direct: bool) -> None:
    """Though the URL leaves it out."""
    variables = ProxyVariables({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": no_proxy})
    assert (variables.proxy_for(URL) is None) is is_direct


@pytest.mark.parametrize(
    ("host", "no_proxy", "is_direct"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("[2001:db8::1]", "2001:db8::/32", True),
        ("[2001:db8::1]", "10.0.0.0/8", False),
        ("10.1.2.3", "example.com", False),
    ],
)
def test_no_proxy_names_addresses_and_networks(host: str, no_proxy: str, is_direct: bool) -> None:
    """In CIDR notation."""
    variables = ProxyVariables({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": no_proxy})
    assert (variables.proxy_for(f"https://{host}/token") is None) is is_direct


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_this_machine_needs_no_proxy(host: str) -> None:
    """Its loopback is not the proxy's."""
    variables = ProxyVariables({"HTTP_PROXY": "http://proxy:3128", "HTTPS_PROXY": "http://proxy:3128"})
    assert variables.proxy_for(f"http://{host}/token") is None
    assert variables.proxy_for(f"https://{host}/token") is None


def test_a_callers_header_is_no_proxy() -> None:
    """In a CGI program a header `Proxy` of a caller becomes HTTP_PROXY."""
    environ = {"REQUEST_METHOD": "GET", "HTTP_PROXY": "http://evil:3128"}
    assert ProxyVariables(environ).proxy_for("http://login.example.com/token") is None
    assert (
        ProxyVariables({**environ, "http_proxy": "http://ours:1"}).proxy_for("http://login.example.com/")
        == "http://ours:1"
    )
