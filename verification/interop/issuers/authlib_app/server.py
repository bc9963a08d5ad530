"""Authlib's AuthorizationServer in a Flask app, with clients in memory, as its documentation has it.

Runs in an environment of its own (requirements.txt). argv[1]: a JSON file with port, url, scopes, clients (id, method,
secret or jwk).
"""

import json
import logging
import os
import secrets
import sys
from pathlib import Path
from typing import Any

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # plain http://, on loopback

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from flask import Flask, Response
from joserfc.jwk import KeySet

SETTINGS = json.loads(Path(sys.argv[1]).read_text())
app = Flask(__name__)
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"client_credentials": 1200}
app.config["OAUTH2_SCOPES_SUPPORTED"] = SETTINGS["scopes"]


class Client:
    """The used part of authlib's ClientMixin."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.client_id = fields["id"]
        self.method = fields["method"]
        self.secret = fields.get("secret", "")
        self.jwk = fields.get("jwk")

    def get_client_id(self) -> str:
        return self.client_id

    def get_allowed_scope(self, scope: str | None) -> str:
        return " ".join(each for each in (scope or "").split() if each in SETTINGS["scopes"])

    def check_client_secret(self, client_secret: str) -> bool:
        return secrets.compare_digest(self.secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == self.method

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"


CLIENTS = {fields["id"]: Client(fields) for fields in SETTINGS["clients"]}


USED: set[tuple[str, str]] = set()


class Assertion(JWTBearerClientAssertion):
    """RFC 7523."""

    CLIENT_AUTH_METHOD = "private_key_jwt"

    def get_audiences(self) -> list[str]:
        return [SETTINGS["url"], f"{SETTINGS['url']}/oauth/token"]

    def validate_jti(self, claims: dict[str, Any], jti: str) -> bool:
        fresh = (claims["sub"], jti) not in USED
        USED.add((claims["sub"], jti))
        return fresh

    def resolve_client_public_key(self, client: Client) -> KeySet:
        return KeySet.import_key_set({"keys": [client.jwk]})


class Grant(ClientCredentialsGrant):
    """With every method that authlib has."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")


server = AuthorizationServer(app, query_client=CLIENTS.get, save_token=lambda token, request: None)
server.register_client_auth_method("private_key_jwt", Assertion())
server.register_grant(Grant)


@app.post("/oauth/token")
def token() -> Response:
    """The token endpoint."""
    return server.create_token_response()


@app.get("/")
def root() -> str:
    """For those who wait until it answers."""
    return "ready"


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    app.run(host="127.0.0.1", port=SETTINGS["port"], threaded=True)
