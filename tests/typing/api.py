"""What users write, as types. Checked by mypy and pyright, never run."""

from datetime import datetime, timedelta
from pathlib import Path

import grpc
import httpx
import requests

from mintonce import (
    ApiKeyFile,
    AsyncTokenClient,
    AsyncTokenSource,
    BearerFile,
    MintonceError,
    Refused,
    Rotation,
    Tls,
    Token,
    TokenClient,
    TokenPage,
    TokenSource,
    Unavailable,
)
from mintonce.integrations import grpc as grpc_integration
from mintonce.integrations import httpx as httpx_integration
from mintonce.integrations import requests as requests_integration


def calls(credentials: grpc.ChannelCredentials) -> None:
    with TokenClient("127.0.0.1:50051", credentials=credentials, timeout=5.0) as client:
        token: Token = client.get("billing", "https://api.example.com/", ["read"], min_ttl=timedelta(minutes=5))
        text: str = token.access_token
        header: str = token.header
        expires: datetime = token.expire_time
        expires_in: float = token.expires_in()
        fingerprint: bytes = token.fingerprint
        was_current: bool = client.reject("billing", "https://api.example.com/", generation=token.generation)
        tokens: TokenPage = client.list_tokens(page_size=10)
        rotation: Rotation = client.rotate("billing", "https://api.example.com/")
        with client.watch("billing") as watch:
            for each in watch:
                successor: Token = each
                print(successor)
        print(text, header, expires, expires_in, fingerprint, was_current, tokens, rotation)


def credentials() -> None:
    tls: Tls = Tls("ca.pem", certificate_file=Path("me.pem"), key_file="me.key", server_name="mintonce.test")
    with TokenClient("mintonce:443", tls=tls) as client, TokenSource("billing", via=client) as source:
        print(source)
    with TokenClient("mintonce:443", tls=True, bearer=BearerFile("/var/run/secrets/mintonce/token")) as client:
        print(client)
    with TokenSource("billing", via="127.0.0.1:50051", tls=False, bearer=ApiKeyFile(Path("key"))) as source:
        print(source)


def errors(client: TokenClient) -> float | None:
    try:
        client.get("billing")
    except Unavailable as error:
        return error.retry_after
    except Refused as error:
        print(error.reason, error.remedy, error.issuer_error, error.code.name)
    except MintonceError as error:
        print(error.request_id)
    return None


def sources(client: TokenClient) -> None:
    with TokenSource("billing", "https://api.example.com/", via=client) as source:
        token: Token = source.get()
        newer: Token = source.reject(token)
        newest: Token = source.wait_until_updated(newer, timeout=1.0)
        header: str = source.header()
        with httpx.Client(auth=httpx_integration.MintonceAuth(source)) as http:
            http.get("https://api.example.com/")
        requests.get("https://api.example.com/", auth=requests_integration.MintonceAuth(source), timeout=10)
        credentials: grpc.CallCredentials = grpc_integration.call_credentials(source)
        print(newest, header, credentials)


async def credentials_on_asyncio(tls: Tls, bearer: BearerFile) -> None:
    async with AsyncTokenClient("mintonce:443", tls=tls, bearer=bearer) as client:
        print(client)
    async with AsyncTokenSource("billing", via="mintonce:443", tls=tls, bearer=False) as source:
        print(source)
    print(await AsyncTokenSource.open("billing", tls=tls, bearer=bearer))


async def on_asyncio() -> None:
    async with AsyncTokenClient() as client, AsyncTokenSource("billing", via=client) as source:
        token: Token = await source.get()
        newer: Token = await source.reject(token)
        async with client.watch("billing") as watch:
            async for each in watch:
                successor: Token = each
                print(successor)
        async with httpx.AsyncClient(auth=httpx_integration.MintonceAuth(source)) as http:
            await http.get("https://api.example.com/")
        print(newer, source.token(), source.header())
