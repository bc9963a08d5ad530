"""The testee for Python: `python -m conformance.testees.python`, or `… python --threads` for the blocking client."""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, Final, TypeAlias

from conformance.testees import answers, texts
from conformance.testees.halves import Asyncio, Half, Threads
from mintonce import Token

Request: TypeAlias = dict[str, Any]

WORKERS: Final = 120
"""Threads of the blocking client's calls: a burst of 50 waits in 50 of them."""


class Warnings(logging.Handler):
    """Keeps what the client logs at the level of a warning or above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class Program:
    """Carries out requests. Sources and clients are kept by the names that the suite gives them."""

    def __init__(self, half: Half) -> None:
        self.half = half
        self.sources: dict[str, Any] = {}
        self.clients: dict[str, Any] = {}
        self.seen: dict[str, dict[int, Token]] = {}
        self.last_error: BaseException | None = None
        self.warnings = Warnings()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._cancelled: set[int] = set()
        logging.getLogger("mintonce").addHandler(self.warnings)

    async def serve(self) -> None:
        """Until stdin ends. Each request is a task of its own; they start in the order of the lines."""
        lines = _lines_of_stdin()
        while (line := await lines.get()) is not None:
            request: Request = json.loads(line)
            self._running[request["id"]] = asyncio.create_task(self._answer(request))
            await asyncio.sleep(0)  # it starts before the next line is read
        for source in self.sources.values():
            await self.half.close_source(source)
        for client in self.clients.values():
            await self.half.close_client(client)
        await asyncio.gather(*self._running.values())

    async def _answer(self, request: Request) -> None:
        id = request["id"]
        answer = await self._outcome(request, id)
        self._running.pop(id, None)
        sys.stdout.write(json.dumps({"id": id, **answer}) + "\n")
        sys.stdout.flush()

    async def _outcome(self, request: Request, id: int | None = None) -> dict[str, Any]:
        operation: Callable[[Request], Awaitable[Any]] | None = getattr(self, f"op_{request['op']}", None)
        if operation is None:
            return {"error": {"class": "Unsupported", "message": f"no such op: {request['op']}"}}
        try:
            return {"ok": await operation(request)}
        except answers.Unsupported as error:
            return {"error": {"class": "Unsupported", "message": str(error)}}
        except answers.Partly as partly:
            self.last_error = partly.error
            return {"error": answers.error(partly.error), "tokens": partly.tokens}
        except BaseException as error:  # noqa: BLE001 - whatever it is, the suite wants to know
            self.last_error = error
            return {"error": answers.error(error, cancelled=id in self._cancelled)}

    # --- what there is

    async def op_hello(self, _: Request) -> Any:
        return {
            "protocol": 1,
            "language": "python",
            "version": version("mintonce"),
            "runtime": f"Python {sys.version.partition(' ')[0]}, {self.half.name}",
            "features": self.half.features,
        }

    async def op_logs(self, _: Request) -> Any:
        return {"warnings": self.warnings.lines}

    async def op_print(self, request: Request) -> Any:
        source = self.sources.get(request.get("source") or "")
        token = source.token() if source is not None else None
        return {"texts": texts.all_of(token, source, [*self.clients.values()], self.last_error)}

    async def op_burst(self, request: Request) -> Any:
        return {"results": await asyncio.gather(*(self._outcome(request["of"]) for _ in range(request["n"])))}

    async def op_cancel(self, request: Request) -> Any:
        self.half.must_cancel()
        task = self._running.get(request["of"])
        if task is not None:
            self._cancelled.add(request["of"])
            task.cancel()
        return {}

    # --- sources

    async def op_open(self, request: Request) -> Any:
        options = answers.connection(request)
        if (via := request.get("via")) is not None:
            options["via"] = self.clients[via]
        elif (target := options.pop("target", None)) is not None:
            options["via"] = target
        if (wait := answers.seconds(request, "wait_for_server_ms")) is not None:
            options["wait_for_server"] = wait
        source = await self.half.open(*answers.key(request), **options)
        self.sources[request["source"]] = source
        return self._token(request["source"], source.token())

    async def op_token(self, request: Request) -> Any:
        source = self.sources[request["source"]]
        for _ in range((request.get("count") or 1) - 1):
            source.token()
        return self._token(request["source"], source.token())

    async def op_get(self, request: Request) -> Any:
        token = await self.half.call(self.sources[request["source"]].get, **answers.timeout(request))
        return self._token(request["source"], token)

    async def op_reject(self, request: Request) -> Any:
        name = request["source"]
        rejected = self.seen[name][request["generation"]]
        token = await self.half.call(self.sources[name].reject, rejected, **answers.timeout(request))
        return self._token(name, token)

    async def op_updated(self, request: Request) -> Any:
        name = request["source"]
        than = self.seen[name][request["than"]]
        token = await self.half.call(self.sources[name].wait_until_updated, than, **answers.timeout(request))
        return self._token(name, token)

    async def op_close(self, request: Request) -> Any:
        if (name := request.get("source")) is not None:
            await self.half.close_source(self.sources[name])
        else:
            await self.half.close_client(self.clients[request["conn"]])
        return {}

    def _token(self, source: str, token: Token) -> dict[str, Any]:
        self.seen.setdefault(source, {})[token.generation] = token
        return answers.token(token)

    # --- clients

    async def op_client_open(self, request: Request) -> Any:
        self.clients[request["conn"]] = self.half.client(**answers.connection(request))
        return {}

    async def op_client_get(self, request: Request) -> Any:
        how = answers.timeout(request)
        if (least := answers.seconds(request, "min_ttl_ms")) is not None:
            how["min_ttl"] = least
        return answers.token(await self.half.call(self.clients[request["conn"]].get, *answers.key(request), **how))

    async def op_client_watch(self, request: Request) -> Any:
        watch = self.clients[request["conn"]].watch(*answers.key(request), **answers.timeout(request))
        tokens: list[Any] = []
        try:
            await self.half.follow(watch, request["count"], lambda token: tokens.append(answers.token(token)))
        except Exception as error:
            raise answers.Partly(error, tokens) from error
        return {"tokens": tokens}

    async def op_client_reject(self, request: Request) -> Any:
        what: dict[str, Any] = {"generation": request.get("generation")}
        if (digest := request.get("sha256")) is not None:
            what = {"fingerprint": bytes.fromhex(digest)}
        call = self.clients[request["conn"]].reject
        return {"was_current": await self.half.call(call, *answers.key(request), **what, **answers.timeout(request))}

    async def op_client_rotate(self, request: Request) -> Any:
        call = self.clients[request["conn"]].rotate
        rotation = await self.half.call(call, *answers.key(request), **answers.timeout(request))
        return {"previous_generation": rotation.previous_generation, "generation": rotation.generation}

    async def op_client_list(self, request: Request) -> Any:
        how = {name: request[name] for name in ("page_size", "page_token") if request.get(name) is not None}
        page = await self.half.call(self.clients[request["conn"]].list_tokens, **how)
        listed = [
            {"client": each.client, "audience": each.audience, "scopes": each.scopes, "generation": each.generation}
            for each in page.tokens
        ]
        return {"tokens": listed, "next_page_token": page.next_page_token}

    # --- adapters

    async def op_http(self, request: Request) -> Any:
        status, body = await self.half.http(
            self.sources[request["source"]],
            request["adapter"],
            request["method"],
            request["url"],
            request.get("body") or {},
        )
        return {"status": status, "body": body}

    async def op_grpc_call(self, request: Request) -> Any:
        return await self.half.grpc_call(
            self.sources[request["source"]], request["target"], request.get("tls"), request["adapter"]
        )


def _lines_of_stdin() -> "asyncio.Queue[str | None]":
    """What comes, line by line; None at the end. A thread reads: stdin may be a file, too."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[str | None]()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(queue.put_nowait, line)
        loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, name="stdin").start()
    return queue


async def run(make: Callable[[Half], Program] = Program) -> None:
    """A whole run of the testee. `make`: the program, or one with a fault in it."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(WORKERS))
    await make(Threads() if "--threads" in sys.argv else Asyncio()).serve()


if __name__ == "__main__":
    asyncio.run(run())
