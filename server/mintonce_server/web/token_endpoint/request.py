"""What a token request says (RFC 6749, section 4.4.2): from its head and its body. Pure."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast
from urllib.parse import parse_qsl, unquote_plus, unquote_to_bytes

from mintonce_server.common.strict_json import NotAnObject, parse_object
from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.secret import Secret

MAX_PARAMETERS: Final = 64
JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

CLIENT_CREDENTIALS: Final = "client_credentials"
FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

OWN: Final = frozenset(
    {
        "grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "audience", "resource",
        "scope", "token", "token_type_hint",
    }
)  # fmt: skip
"""Parameters that are read."""
CHANGING: Final = ("organization", "requested_token_type", "authorization_details")
"""Parameters that would make it another token."""

_PROOF: Final = re.compile(r"[\x21-\x7e]+")
_UNPAIRED: Final = re.compile("[\ud800-\udfff]")
"""Halves of a character, as JSON can escape them: no text in UTF-8."""
_BASIC: Final = "basic "
_BEARER: Final = "bearer "


class BadRequest(InvalidRequest):
    """The request is refused before anything is done. `error`: the code of RFC 6749, section 5.2, or RFC 8707."""

    def __init__(self, message: str, remedy: str, *, error: str = "invalid_request", status: int = 400) -> None:
        super().__init__(message, remedy=remedy)
        self.error = error
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """What counts of a request's head.

    Attributes:
        content_types, authorizations: all values of these headers, because a repeated one is refused.
        query: the part of the target behind the question mark.
        has_dpop: whether there is a DPoP header (RFC 9449).
    """

    content_types: Sequence[str]
    authorizations: Sequence[str]
    query: str = ""
    has_dpop: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, and the rest of the parameters.

    Attributes:
        client: as the caller names it: the name of a registered client, or the client_id at the issuer.
        proof: an API key or a JWT, wherever it stood. None: none was sent.
        parameters: those of OWN that are not about the caller, without empty ones. One may be a token.
    """

    client: str
    proof: Secret | None
    parameters: Mapping[str, str] = field(repr=False)


def read_request(head: Head, body: bytes) -> Asked:
    """Raises BadRequest, whose text repeats nothing of the request."""
    if head.has_dpop:
        raise _other_token("DPoP")
    sent = _parameters(head, body)
    for name in CHANGING:
        if sent.get(name):
            raise _other_token(name)
    user, proofs = "", list(filter(None, (sent.get("client_secret"), _assertion(sent))))
    for header in head.authorizations:
        user, proof = _authorization(header)
        proofs += [proof] if proof else []  # an empty one is none, as in the body
    if len(head.authorizations) > 1 or len(proofs) > 1:
        raise BadRequest(
            "the request has several proofs of who calls",
            "Send one: client_secret, client_assertion, or one Authorization header (RFC 6749, section 2.3).",
        )
    client = sent.get("client_id") or user
    if user and client != user:
        raise BadRequest(
            "client_id differs from the user name of Basic", "Send the same in both, or leave client_id out."
        )
    if any(not _PROOF.fullmatch(proof) for proof in proofs):
        raise BadRequest("the proof of who calls has characters that none has", "Send the API key or JWT as it is.")
    about = {name: text for name, text in sent.items() if name in OWN and not name.startswith("client_")}
    return Asked(client, Secret(proofs[0]) if proofs else None, about)


def require_client(asked: Asked) -> str:
    """The client that is asked for. Raises BadRequest without one: there is no default."""
    if not asked.client:
        raise BadRequest("client_id is missing", "Send the name of a registered client as client_id.")
    return asked.client


def require_grant(asked: Asked) -> None:
    """Raises BadRequest for any other grant than client_credentials."""
    grant = asked.parameters.get("grant_type")
    if grant is None:
        raise BadRequest("grant_type is missing", "Send grant_type=client_credentials.")
    if grant != CLIENT_CREDENTIALS:
        raise BadRequest(
            "only the client_credentials grant is served",
            "Send grant_type=client_credentials; for other grants ask the issuer.",
            error="unsupported_grant_type",
        )


def audience_of(asked: Asked) -> str | None:
    """The audience, or the resource (RFC 8707) as its other name. None: neither was sent. Raises BadRequest."""
    audience, resource = asked.parameters.get("audience"), asked.parameters.get("resource")
    if audience and resource and audience != resource:
        raise BadRequest("audience and resource differ", "Send one of them.", error="invalid_target")
    return audience or resource


def scopes_of(asked: Asked) -> tuple[str, ...]:
    """As they were sent, in that order."""
    return tuple(filter(None, asked.parameters.get("scope", "").split(" ")))


def revoked_token(asked: Asked) -> Secret:
    """Of a revocation (RFC 7009, section 2.1). Raises BadRequest."""
    if not (text := asked.parameters.get("token")):
        raise BadRequest("token is missing", "Send the token to revoke as token.")
    return Secret(text)


def _parameters(head: Head, body: bytes) -> dict[str, str]:
    """Names and values, without empty ones: they count as left out (RFC 6749, section 3.2)."""
    if head.query and any(name in OWN for name, _ in parse_qsl(head.query.replace(";", "&"), keep_blank_values=True)):
        raise BadRequest("a parameter stands in the URL, where logs would keep it", "Send it in the body.")
    kind = head.content_types[0].partition(";")[0].strip().lower() if len(head.content_types) == 1 else ""
    match kind:
        case "application/x-www-form-urlencoded":
            pairs = _form(body)
        case "application/json":
            pairs = _json(body)
        case _:
            raise BadRequest(
                "the Content-Type is not one that is read", f"Send one Content-Type: {FORM} or {JSON}.", status=415
            )
    sent = dict[str, str]()
    for name, value in pairs:
        if name in sent and (name in OWN or name in CHANGING):
            target = name == "resource"
            raise BadRequest(
                f"{name} is sent more than once",
                "Send it once.",
                error="invalid_target" if target else "invalid_request",
            )
        sent[name] = value
    return {name: value for name, value in sent.items() if value}


def _form(body: bytes) -> list[tuple[str, str]]:
    try:
        fields = [field for field in body.decode("ascii").split("&") if field]
        if len(fields) <= MAX_PARAMETERS:
            return [_pair(field) for field in fields]
    except ValueError:
        pass
    # Raised outside of the handler: the codec's error carries the body as context.
    raise BadRequest(
        f"the body is no form in percent-encoded UTF-8 of at most {MAX_PARAMETERS} parameters", f"Send it as {FORM}."
    )


def _pair(field: str) -> tuple[str, str]:
    """Raises ValueError for what is not UTF-8. `field`: ASCII."""
    name, _, value = field.partition("=")
    if "%" in field or "+" in field:
        return _decoded(name), _decoded(value)
    return name, value


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode()


def _json(body: bytes) -> list[tuple[str, str]]:
    try:
        parsed = parse_object(body)
    except NotAnObject:
        parsed = None
    if parsed is None or len(parsed) > MAX_PARAMETERS:
        raise BadRequest(
            f"the body is not one JSON object of at most {MAX_PARAMETERS} names, each once", f"Send one as {JSON}."
        )
    known = ((name, value) for name, value in parsed.items() if name in OWN or name in CHANGING)
    return [(name, _text(name, value)) for name, value in known]


def _text(name: str, value: object) -> str:
    """Nothing for null. A list of scopes is one text, as in a form."""
    if name == "scope" and isinstance(value, list):
        return " ".join(_text("a scope", scope) for scope in cast("list[object]", value))
    match value:
        case str() if not _UNPAIRED.search(value):
            return value
        case None:
            return ""
        case _:
            raise BadRequest(f"{name} is not a text", "Send texts as values.")


def _assertion(sent: Mapping[str, str]) -> str | None:
    """Of RFC 7523, section 2.2."""
    assertion = sent.get("client_assertion")
    if assertion and sent.get("client_assertion_type") != JWT_BEARER:
        raise BadRequest("client_assertion has no type, or another one", f"Send client_assertion_type={JWT_BEARER}.")
    return assertion


def _authorization(header: str) -> tuple[str, str]:
    """The user name, "" for Bearer, and the proof. Raises BadRequest."""
    if header[: len(_BEARER)].lower() == _BEARER:
        return "", header[len(_BEARER) :].strip()
    if header[: len(_BASIC)].lower() == _BASIC:
        try:
            decoded = base64.b64decode(header[len(_BASIC) :].strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            decoded = ""
        user, colon, password = decoded.partition(":")
        if colon:
            # RFC 6749, section 2.3.1: both halves are form-encoded. Names and proofs have no % and no +.
            return unquote_plus(user), unquote_plus(password)
    raise BadRequest("the Authorization header cannot be read", "Send Basic or Bearer.")


def _other_token(name: str) -> BadRequest:
    return BadRequest(
        f"{name} would make it another token than the shared one", f"Leave {name} out; or ask the issuer itself."
    )
