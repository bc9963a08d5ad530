"""What every call has in common: a deadline, a request id for what is worth a line, and an error status at its end."""

import re
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final, NoReturn, TypeVar, cast

from grpc.aio import AbortError

from mintonce_server.api.arrival import arrival
from mintonce_server.api.context import Context
from mintonce_server.api.status import abort
from mintonce_server.core.errors import InvalidRequest, MintonceError
from mintonce_server.observability.audit_repeats import UNKNOWN
from mintonce_server.observability.logs import bind_request_id, bound_request_id, get_logger

DEFAULT_DEADLINE: Final = 15.0
"""Seconds that a call without a deadline waits for a token."""
MARGIN: Final = 0.05
"""Seconds kept for the way back."""

UNREADABLE: Final = object()
"""What a method gets in place of a request that cannot be read."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")

Method = TypeVar("Method", bound=Callable[..., Any])


def unary(method: Method) -> Method:
    """A method (self, request, context) whose errors become statuses."""

    async def call(servicer: object, request: object, context: Context) -> object:
        try:
            _check_readable(request)
            return await method(servicer, request, context)
        except AbortError:  # the method has ended the call itself
            raise
        except Exception as error:  # noqa: BLE001 - the last line: grpc would send the exception's text to the caller
            await fail(context, error)

    return cast("Method", call)


def streaming(method: Method) -> Method:
    """A streaming method (self, request, context) whose errors become statuses."""

    async def call(servicer: object, request: object, context: Context) -> AsyncGenerator[object]:
        try:
            _check_readable(request)
            async with aclosing(method(servicer, request, context)) as answers:
                async for answer in answers:
                    yield answer
        except AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            await fail(context, error)

    return cast("Method", call)


def deadline_of(context: Context) -> float:
    """Seconds for the answer to be ready in, so that it says why and arrives before the caller gives up."""
    remaining = cast("float | None", context.time_remaining())  # None without a deadline, whatever the stubs say
    return DEFAULT_DEADLINE if remaining is None else max(0.0, remaining - MARGIN)


def name_call(context: Context) -> str:
    """The caller's x-request-id, or a new one; from here on in every log line of this call. The same each time."""
    if known := bound_request_id():  # each call is a task of its own
        return known
    given = dict(context.invocation_metadata() or ()).get("x-request-id", "")
    text = given if isinstance(given, str) and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    bind_request_id(text)
    return text


def _check_readable(request: object) -> None:
    if request is UNREADABLE:
        raise unreadable()


def unreadable() -> InvalidRequest:
    """What the sender of a message that is none is told."""
    return InvalidRequest("the request cannot be read", remedy="Send a message of this method, as protobuf.")


async def fail(context: Context, error: Exception) -> NoReturn:
    """End the call with the error's status, and say so in the log."""
    request_id = name_call(context)
    log = get_logger(__name__)
    came = arrival()
    caller = came.caller.name if came.caller else UNKNOWN
    if not isinstance(error, MintonceError):
        if (left_out := came.quiet.more((type(error), caller))) is not None:
            log.error("internal_error", exc_info=error, **_more(left_out))
        error = MintonceError("internal error", remedy="Look up the request id in the server's log.")
    elif (left_out := came.quiet.more((error.reason, caller))) is not None:
        told = {"reason": error.reason.value, "detail": str(error), "retry_after": error.retry_after}
        log.info("call_failed", **told, **_more(left_out))
    await abort(context, error, request_id)


def _more(left_out: int) -> dict[str, int]:
    """How many such lines are missing before this one; nothing, where none is."""
    return {"left_out": left_out} if left_out else {}
