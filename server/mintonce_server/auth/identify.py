"""One identity for each call, from its certificate and metadata."""

from collections.abc import Callable, Sequence
from typing import Final

from mintonce_server.auth.api_keys import PREFIX, ApiKeys
from mintonce_server.auth.authorities import Authorities
from mintonce_server.auth.certificate import caller_of_certificate
from mintonce_server.auth.jwt import JwtIssuer, digest_of, issuer_of
from mintonce_server.common.clock import Clock
from mintonce_server.core.caller import Caller
from mintonce_server.core.errors import Unauthenticated

_BEARER: Final = "bearer "


class Identifier:
    """If a call has `authorization`, only that counts: an invalid one never falls back to the certificate."""

    def __init__(
        self,
        trust_domains: frozenset[str],
        jwt_issuers: Sequence[JwtIssuer],
        api_keys: Callable[[], ApiKeys | None],
        clock: Clock,
        authorities: Authorities | None = None,
    ) -> None:
        self._trust_domains = trust_domains
        self._issuers = tuple(jwt_issuers)
        self._api_keys = api_keys
        self._clock = clock
        self._authorities = authorities

    def identify(self, certificate_pem: bytes | None, authorization: Sequence[str], chain_pem: bytes = b"") -> Caller:
        """`chain_pem`: the caller's intermediate certificates. Raises Unauthenticated."""
        if len(authorization) > 1:
            raise Unauthenticated("the call has several authorization headers", remedy="Send one.")
        if authorization:
            return self._of_bearer(authorization[0])
        if certificate_pem is not None:
            caller = caller_of_certificate(certificate_pem, self._trust_domains, self._clock.unix())
            if self._authorities is not None:
                self._authorities.check(certificate_pem, chain_pem)
            return caller
        raise Unauthenticated("the call has no credentials", remedy=f"Send {self._kinds()}.")

    def _of_bearer(self, authorization: str) -> Caller:
        if authorization[: len(_BEARER)].lower() != _BEARER:
            raise Unauthenticated("the `authorization` has another scheme than Bearer", remedy=f"Send {self._kinds()}.")
        text = authorization[len(_BEARER) :].strip()
        if text.startswith(PREFIX) and (keys := self._api_keys()) is not None:
            return keys.caller(text)
        digest, now = digest_of(text), self._clock.unix()
        for issuer in self._issuers:  # a JWT that was verified before is not parsed again
            if (caller := issuer.known(digest, now)) is not None:
                return caller
        refusal = Unauthenticated("the issuer of the JWT is unknown", remedy=f"Send {self._kinds()}.")
        named = issuer_of(text)
        # Several issuers may have the same name, as Kubernetes clusters do by default. Their keys differ.
        for issuer in self._issuers:
            if issuer.issuer == named:
                try:
                    return issuer.caller(text, self._clock)
                except Unauthenticated as error:
                    refusal = error
        raise refusal

    def _kinds(self) -> str:
        kinds = ["a client certificate"] if self._trust_domains else []
        kinds += ["a JWT in `authorization` (scheme Bearer)"] if self._issuers else []
        kinds += ["an API key in `authorization` (scheme Bearer)"] if self._api_keys() is not None else []
        return " or ".join(kinds)
