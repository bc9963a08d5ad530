"""What gRPC calls the other end of a connection."""

import pytest

from mintonce_server.common.network import address_of_peer, network_of_peer, normalized_ip


@pytest.mark.parametrize(
    ("peer", "address", "network"),
    [
        ("ipv4:192.0.2.7:4711", ("192.0.2.7", 4711), "192.0.2.0/24"),
        ("ipv6:%5B2001:db8:1:2:3::4%5D:80", ("2001:db8:1:2:3::4", 80), "2001:db8:1:2::/64"),
        ("ipv6:[::1]:80", ("::1", 80), "::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:80", ("fe80::1", 80), "fe80::/64"),
        ("ipv6:%5B::ffff:192.0.2.7%5D:80", ("192.0.2.7", 80), "192.0.2.0/24"),
        ("unix:", None, "unix"),
        ("unix:/run/mintonce.sock", None, "unix"),
        ("ipv4:nonsense", None, "unknown"),
        ("ipv4:300.1.1.1:5", None, "unknown"),
        ("", None, "unknown"),
    ],
)
def test_an_address_and_its_network(peer: str, address: tuple[str, int] | None, network: str) -> None:
    """An IPv4 address that IPv6 wraps is the IPv4 address."""
    assert address_of_peer(peer) == address
    assert network_of_peer(peer) == network


def test_addresses_have_one_way_of_writing() -> None:
    """So that gRPC's and the operating system's can be compared."""
    assert normalized_ip("2001:DB8:0::0:1") == normalized_ip("2001:db8::1") == "2001:db8::1"
    assert normalized_ip("localhost") is None
