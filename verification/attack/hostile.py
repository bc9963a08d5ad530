"""What a hostile caller sends: strategies for Hypothesis."""

from base64 import urlsafe_b64encode
from typing import Final

from hypothesis import strategies as st

from mintonce.v1 import admin_pb2, tokens_pb2, types_pb2

FORGED: Final = '\n{"event": "forged", "level": "info"}\r\n'
"""A text that would begin a log line of its own if anybody printed it as it is."""

METHODS: Final = (
    "/mintonce.v1.TokenService/GetToken",
    "/mintonce.v1.TokenService/WatchToken",
    "/mintonce.v1.TokenService/RejectToken",
    "/mintonce.v1.AdminService/ListTokens",
    "/mintonce.v1.AdminService/RotateToken",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/mintonce.v1.TokenService/NoSuchMethod",
    "/no.such.Service/Method",
)
STREAMS: Final = ("/mintonce.v1.TokenService/WatchToken", "/grpc.health.v1.Health/Watch")
LIKELY: Final = ("default", "https://victim.example.com/", "https://api.example.com/", "read", "a", "")
EVIL: Final = (
    FORGED, "\0", "a\0b", "default\0", "../../etc/passwd", "*", "**", "{}", "a{h}:t", "%00%0a", "%s%n", "${jndi:x}",
    "https://issuer.example.com/?x=" + "a" * 1100, "ｄｅｆａｕｌｔ", "dеfault", "\u202edefault", "\ud7ff", "\U0010ffff",
    "read write", 'a"b', "a\\b", "a,b", "3:abc,", "9" * 400, "default ", " default", "DEFAULT", "a" * 65, "é",
)  # fmt: skip

TEXTS = st.sampled_from(LIKELY) | st.sampled_from(EVIL) | st.text(max_size=40)
INT64 = st.integers(-(2**63), 2**63 - 1)
PAGE_TOKENS = (
    st.just("")
    | TEXTS
    | st.text("AZaz09-_=", max_size=40)
    | st.lists(TEXTS, max_size=5).map(lambda parts: urlsafe_b64encode("\n".join(parts).encode()).decode().rstrip("="))
)
"""Such as a server makes them, too."""
SCOPES = st.lists(TEXTS, max_size=5) | st.integers(60, 3000).map(lambda n: [f"s{i}" for i in range(n)])


@st.composite
def keys(draw: st.DrawFn) -> types_pb2.TokenKey | None:
    """Anything in each field; or none at all."""
    if draw(st.integers(0, 9)) == 0:
        return None
    return types_pb2.TokenKey(client=draw(TEXTS), audience=draw(TEXTS), scopes=draw(SCOPES))


@st.composite
def get_requests(draw: st.DrawFn) -> bytes:
    """A GetTokenRequest with anything in each field."""
    request = tokens_pb2.GetTokenRequest(key=draw(keys()))
    if draw(st.booleans()):
        request.min_ttl.seconds = draw(INT64)
        request.min_ttl.nanos = draw(st.integers(-(2**31), 2**31 - 1))
    return request.SerializeToString()


@st.composite
def other_requests(draw: st.DrawFn) -> bytes:
    """What the other methods take."""
    key = draw(keys())
    match draw(st.integers(0, 3)):
        case 0:
            return tokens_pb2.RejectTokenRequest(key=key, generation=draw(INT64)).SerializeToString()
        case 1:
            return tokens_pb2.RejectTokenRequest(
                key=key, access_token_sha256=draw(st.binary(max_size=40))
            ).SerializeToString()
        case 2:
            return admin_pb2.ListTokensRequest(
                client=draw(TEXTS), page_size=draw(st.integers(-(2**31), 2**31 - 1)), page_token=draw(PAGE_TOKENS)
            ).SerializeToString()
        case _:
            return admin_pb2.RotateTokenRequest(key=key).SerializeToString()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good request with some bytes changed, cut off or said twice."""
    data = bytearray(draw(get_requests() | other_requests())[:300])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.integers(0, 2)):
            case 0:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=3))
            case 1:
                del data[at:]
            case _:
                data += data[at:]
    return bytes(data[:2000])


NESTED: Final = (b"\x0b" * 5000, b"\x22\x05" * 2000, b"\xff" * 11, b"\x0a\xff\xff\xff\xff\x0f", b"\x0b\x0c" * 100)
"""Groups that never end, a varint without an end, a length beyond all there is."""

MESSAGES = get_requests() | other_requests() | mutated() | st.binary(max_size=200) | st.sampled_from(NESTED)

_NAMES = st.sampled_from(
    ["x-request-id", "x-strange", "x-bin-bin", "grpc-timeout-x", "te-x", "user-agent-x", "traceparent", "tracestate"]
)
_VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=300)
METADATA = st.lists(
    st.tuples(_NAMES, _VALUES).map(
        lambda pair: (pair[0], pair[1].encode()) if pair[0].endswith("-bin") else (pair[0], pair[1].strip())
    ),
    max_size=20,
)
_BEARERS = (
    "",
    "Bearer",
    "Bearer ",
    "bearer mok_",
    "Basic YTpi",
    "Bearer eyJhbGciOiJub25lIn0.e30.",
    "Bearer " + "." * 50,
)
AUTHORIZATIONS = (
    st.sampled_from(_BEARERS) | _VALUES.map(str.strip) | _VALUES.map(lambda text: f"Bearer mok_{text}".strip())
)
