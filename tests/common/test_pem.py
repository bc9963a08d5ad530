"""The one check of certificates and keys in PEM: which part is wrong."""

import ssl

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mintonce_server.api.tls import TlsError, load_tls
from mintonce_server.common.pem import PemError, load_pair
from support.certificates import Authority


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    authority = Authority(tmp_path_factory.mktemp("pem"))
    issued = authority.issue("one")
    own, other = issued.key.read_bytes(), authority.issue("other").key.read_bytes()
    rsa = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {"certificate": issued.pem, "key": own, "other key": other, "key of another type": rsa, "text": b"c4nary"}


WRONG = [
    ("key", "certificate", "certificate"),
    ("text", "key", "certificate"),
    ("certificate", "text", "key"),
    ("certificate", "certificate", "key"),
    ("certificate", "other key", "pair"),
    ("certificate", "key of another type", "pair"),
]


@pytest.mark.parametrize(("certificate", "key", "wrong"), WRONG)
def test_the_part_that_is_wrong(parts: dict[str, bytes], certificate: str, key: str, wrong: str) -> None:
    """Two files in the wrong order are no pair. The error shows no byte of either."""
    with pytest.raises(PemError) as caught:
        load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), parts[certificate], parts[key])
    assert caught.value.part == wrong
    assert caught.value.__context__ is None
    assert "c4nary" not in str(caught.value)


@pytest.mark.parametrize(("certificate", "key", "wrong"), WRONG)
def test_the_listener_names_the_setting(parts: dict[str, bytes], certificate: str, key: str, wrong: str) -> None:
    """`certificate_file` or `key_file`, with a remedy."""
    with pytest.raises(TlsError, match="certificate_file" if wrong == "certificate" else "key_file") as caught:
        load_tls([parts[certificate], parts[key]])
    assert ("is not the key of" in str(caught.value)) is (wrong == "pair")
    assert caught.value.remedy
    assert caught.value.__context__ is None


def test_a_certificate_file_may_hold_its_key(parts: dict[str, bytes]) -> None:
    """As Redis URLs without ssl_keyfile have it. A file of the key wins over it."""
    both = parts["other key"] + parts["certificate"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_pair(context, parts["key"] + parts["certificate"], None)
    load_pair(context, both, parts["key"])
    with pytest.raises(PemError):
        load_pair(context, both, None)
