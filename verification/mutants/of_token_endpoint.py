"""Mutants of the token endpoint: what callers are told, and what is refused before it is done."""

from mutants.mutant import Mutant

HERE = "tests/web/token_endpoint"
ANSWER = (f"{HERE}/test_answer.py",)
REQUEST = (f"{HERE}/test_request.py",)
ENDPOINT = (f"{HERE}/test_endpoint.py",)
TROUBLE = (f"{HERE}/test_trouble.py",)
CONNECTIONS = (f"{HERE}/test_connections.py",)
STRICT = ("tests/web/test_strictness.py",)


def _of(module: str, name: str, old: str, new: str, breaks: str, tests: tuple[str, ...]) -> Mutant:
    return Mutant(name, f"web/token_endpoint/{module}.py", old, new, breaks, tests)


TOKEN_ENDPOINT = (
    _of(
        "answer",
        "expires_in may be 0",
        "max(LEAST, math.floor(left - spread))",
        "math.floor(left - spread)",
        "to some libraries 0 is for ever; to a proxy that renews at half of it, 1 is at once",
        ANSWER,
    ),
    _of(
        "answer",
        "a token that ends on the way is handed out",
        "expires_in = max(LEAST, math.floor(left - spread))",
        "expires_in = max(LEAST, math.floor(left - spread) + 1)",
        "callers are told that a token lives longer than it does",
        ANSWER,
    ),
    _of(
        "answer",
        "the spread goes beyond the truth",
        "math.floor(left - spread)",
        "math.floor(left + spread)",
        "callers send a token that has ended",
        ANSWER,
    ),
    _of(
        "answer",
        "no spread",
        "0.0 if served.degraded else chance * min",
        "0.0 * min",
        "all callers of a token come back in the same second",
        ANSWER,
    ),
    _of(
        "answer",
        "a challenge with each 401",
        "if status == 401 and used_authorization:",
        "if status == 401:",
        "a library shows its user the challenge and hides the error",
        ANSWER,
    ),
    _of(
        "answer",
        "an unknown client is called unknown",
        "            text = _full(denied(act))\n",
        "            pass\n",
        "callers can try out which names are registered",
        ANSWER,
    ),
    _of(
        "answer",
        "the issuer's refusal of our secret is the caller's",
        '    "unauthorized_client": "unauthorized_client",\n',
        '    "unauthorized_client": "unauthorized_client",\n    "invalid_client": "invalid_client",\n',
        "callers change a secret that is right",
        ANSWER,
    ),
    _of(
        "request",
        "two proofs are accepted",
        "if len(head.authorizations) > 1 or len(proofs) > 1:",
        "if len(head.authorizations) > 1:",
        "two readers of one request may see two callers",
        REQUEST,
    ),
    _of(
        "request",
        "a parameter twice: the last one counts",
        "if name in sent and (name in OWN or name in CHANGING):",
        "if name in sent and name in CHANGING:",
        "two readers of one request may see two keys",
        REQUEST,
    ),
    _of(
        "request",
        "an organization is ignored",
        "        if sent.get(name):\n",
        "        if False:\n",
        "the caller gets another token than the one that it asked for",
        REQUEST,
    ),
    _of(
        "request",
        "secrets in the URL are taken",
        "if head.query and any(",
        "if False and any(",
        "proxies log API keys",
        REQUEST,
    ),
    _of(
        "failed_proofs",
        "failed proofs are not limited",
        "        if bucket.left < 1.0:\n",
        "        if False:\n",
        "guessing keys costs the server as much as serving them",
        (f"{HERE}/test_failed_proofs.py",),
    ),
    _of(
        "endpoint",
        "failed proofs are not noted",
        "if isinstance(call.refusal, Unauthenticated):",
        "if False:",
        "guessing keys costs the server as much as serving them",
        ENDPOINT,
    ),
    _of(
        "endpoint",
        "browsers are served",
        'if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:',
        "if False:",
        "a web page asks from within its reader's network",
        ENDPOINT,
    ),
    _of(
        "wanted",
        "the default audience of any client",
        'audience = self.default_audiences.get(client, "")',
        'audience = next(iter(self.default_audiences.values()), "")',
        "a client gets a token for what another one is for",
        ENDPOINT,
    ),
    _of(
        "wanted",
        "the client_id at the issuer wins over the name",
        "named if named in self.known else self.names.get(named, named)",
        "self.names.get(named, named)",
        "a client whose name is another's client_id gets the other's tokens",
        ENDPOINT,
    ),
    _of(
        "endpoint",
        "a caller waits for better while the issuer hangs",
        "            patience=PATIENCE,\n",
        "            patience=60.0,\n",
        "a live token is withheld until the caller gives up",
        TROUBLE,
    ),
    _of(
        "endpoint",
        "a body without an end",
        "if len(body) > MAX_BODY:\n                break",
        "if False:\n                break",
        "one request fills the memory",
        CONNECTIONS,
    ),
    Mutant(
        "a coding before chunked is taken",
        "web/strictness.py",
        'version == HttpVersion10 or coding.lower() != "chunked"',
        "version == HttpVersion10",
        "a proxy and this server see two ends of one request",
        STRICT,
    ),
    Mutant(
        "a head without an end",
        "web/connection.py",
        "        elif self.received > self.listener.max_head:\n",
        "        elif False:\n",
        "half a request takes a megabyte and more",
        STRICT,
    ),
    Mutant(
        "a broken chunk is waited for",
        "web/connection.py",
        '            body.set_exception(web_protocol.RequestPayloadError("it cannot be read"))\n',
        "            pass\n",
        "a connection is held by a request that cannot end",
        CONNECTIONS,
    ),
    Mutant(
        "handshakes without a limit",
        "web/handshakes.py",
        "        if len(theirs) > MOST // 4:\n            _end(self._under_way.pop(theirs[0])[0])\n        elif",
        "        if",
        "one address keeps all descriptors busy by saying nothing",
        ("tests/web/test_handshakes.py",),
    ),
    Mutant(
        "who waits for a body is never closed",
        "web/listener.py",
        "request.content.on_eof(partial(self._waits_no_more, connection))",
        "self._waits_no_more(connection)",
        "four addresses that send heads alone shut the door for all",
        CONNECTIONS,
    ),
    Mutant(
        "a search for a token before the policy",
        "calls/tokens.py",
        "                scope.allow_search(revoked.client)\n",
        "                pass\n",
        "a caller without any rule makes the store be read again and again",
        ("tests/web/token_endpoint/test_revocation.py",),
    ),
)
