"""The mission's sentence as a test: one key, many services in many languages, one mint a generation."""

import asyncio
import hashlib
import json
import signal
import threading
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import sleep, time
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from conformance.harness.languages import Language
from conformance.harness.testee import Answer, Failed, Testee
from conformance.servers.api import Api
from conformance.servers.line import Line
from mintonce_dev.valkey import EmbeddedValkey
from support.faulty_issuer import NONE, Fault, FaultyIssuer
from support.replicas import Replica, replica
from support.surroundings import claims, issuer_with_log, posts, smallest_settings

KEY = {"client": "default", "audience": "https://api.example.com/"}
DOWN = Fault(status=503)
LIFETIME = 20.0
"""Seconds. Shorter ones end while a busy machine gives a process no time."""


class Service:
    """A testee that follows its token and calls an API with it, all the time."""

    def __init__(self, testee: Testee, name: str, target: str, api: Api) -> None:
        self.name = name
        self.failures: list[str] = []
        self.calls = 0
        self._testee = testee
        self._api = api
        self._adapter = testee.adapters("http")[0]
        self._over = threading.Event()
        self.tokens: list[Answer] = [testee.call("open", source="s", **KEY, target=target)]
        self._threads = [threading.Thread(target=work) for work in (self._follow, self._call)]
        for thread in self._threads:
            thread.start()

    @property
    def seen(self) -> list[tuple[int, str]]:
        return [(token["generation"], token["sha256"]) for token in self.tokens]

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _follow(self) -> None:
        while not self._over.is_set():
            waiting = self._testee.start("updated", source="s", than=self.tokens[-1]["generation"], timeout_ms=1000)
            answer = waiting.answer.result(10)
            if "ok" in answer:
                self.tokens.append(answer["ok"])

    def _call(self) -> None:
        while not self._over.wait(0.1):
            try:
                got = self._testee.call("http", source="s", adapter=self._adapter, method="GET", url=self._api.url)
            except Failed as failed:
                self.failures.append(str(failed))
                continue
            self.calls += 1
            if got["status"] != 200:
                self.failures.append(f"{self.name}: {got}")


@asynccontextmanager
async def fleet(directory: Path) -> AsyncGenerator[tuple[FaultyIssuer, list[Replica]]]:
    """An issuer whose tokens live so long, and two replicas on one store."""
    async with AsyncExitStack() as stack:
        valkey = await stack.enter_async_context(EmbeddedValkey(directory / "valkey"))
        issuer = stack.enter_context(issuer_with_log(directory / "posts.jsonl", lifetime=LIFETIME))
        # min_ttl: a program that asks over HTTP must not cause a mint here, however late it asks.
        endpoint = {"TOKEN_ENDPOINT__LISTEN": "127.0.0.1:0", "TOKEN_ENDPOINT__MIN_TTL": "0s"}
        settings = {**smallest_settings(issuer, valkey.url), **endpoint}
        yield issuer, [await stack.enter_async_context(replica(directory, settings)) for _ in range(2)]


def lives(header: str) -> bool:
    """As an API looks at a JWT: by its own clock."""
    return header.startswith("Bearer ") and float(claims(header)["exp"]) > time()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_case_37_all_languages_share_one_token(
    everyone: list[Language], record_property: Any, tmp_path: Path
) -> None:
    """Through three rotations, the death of a replica and an outage of the issuer. At the token endpoint, where a
    program needs no client, it is the same one."""
    record_property("language", ",".join(language.name for language in everyone))
    async with fleet(tmp_path) as (issuer, (dies, stays)):
        async with AsyncExitStack() as stack:
            lines = [stack.enter_context(Line(_port(each))) for each in (dies, stays)]
            api = stack.enter_context(Api())
            api.accepts = lives
            services: list[Service] = []
            # All processes first: on a busy machine they take longer to start than a token lives.
            testees = [stack.enter_context(Testee(language.command)) for language in everyone]
            for number, (language, testee) in enumerate(zip(everyone, testees, strict=True)):
                target = lines[number % 2].target
                service = await asyncio.to_thread(Service, testee, language.name, target, api)
                services.append(service)
                stack.callback(service.end)

            await asyncio.to_thread(until_generations, services, 2)
            lines[0].backend = _port(stays)
            await dies.stop(signal.SIGKILL)
            await asyncio.to_thread(until_generations, services, 3)
            issuer.fault = DOWN
            await asyncio.sleep(LIFETIME / 2)
            issuer.fault = NONE
            await asyncio.to_thread(until_generations, services, 4)
            by_http = await asyncio.to_thread(without_any_client, stays)
            for service in services:
                await asyncio.to_thread(service.end)

        assert {service.name: service.failures for service in services if service.failures} == {}
        assert all(service.calls > 50 for service in services)
        seen = {service.name: service.seen for service in services}
        first = services[0].seen
        assert seen == dict.fromkeys(seen, first)
        assert len(first) == len(posts(tmp_path / "posts.jsonl")) == 4
        assert by_http == first[-1][1]


def until_generations(services: list[Service], count: int) -> None:
    """Until each of them has seen so many tokens."""
    for _ in range(int(LIFETIME * 20)):
        if all(len(service.tokens) >= count for service in services):
            return
        sleep(0.1)
    pytest.fail(f"{count} tokens were not seen by all: { {each.name: len(each.tokens) for each in services} }")


def without_any_client(server: Replica) -> str:
    """The SHA-256 of the token that an OAuth library gets."""
    asked = {"grant_type": "client_credentials", "client_id": KEY["client"], "audience": KEY["audience"]}
    url = f"{server.events('serving')[0]['token_endpoint']}/oauth/token"
    with urlopen(url, urlencode(asked).encode(), timeout=10) as answer:
        return hashlib.sha256(json.load(answer)["access_token"].encode()).hexdigest()


def _port(server: Replica) -> int:
    return int(server.target.rpartition(":")[2])
