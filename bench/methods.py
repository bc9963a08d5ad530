"""What is called, and with what. The server and those who load it agree on this."""

from typing import Final

from mintonce.v1 import tokens_pb2, types_pb2

CLIENT: Final = "billing"
AUDIENCE: Final = "https://api.example.com/"
SCOPES: Final = ("orders:read", "orders:write")
TOKEN_CHARACTERS: Final = 900
"""About what a signed JWT of an OAuth domain has."""

SERVICE: Final = "mintonce.bench.v1.Bench"
EMPTY: Final = f"/{SERVICE}/Empty"
"""Reads the request of GetToken, does nothing, returns an empty message."""
SAME_BYTES: Final = f"/{SERVICE}/SameBytes"
"""The same, but returns as many bytes as GetToken, made long before."""
CPU: Final = f"/{SERVICE}/Cpu"
"""Returns the CPU time of the server's process so far: nanoseconds, as decimal digits."""
GET_TOKEN: Final = "/mintonce.v1.TokenService/GetToken"

MEASURED: Final = (EMPTY, SAME_BYTES, GET_TOKEN)

REQUEST: Final = tokens_pb2.GetTokenRequest(
    key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE, scopes=SCOPES)
).SerializeToString()
