"""Authlib: OAuth2Session of requests, which renews the token by itself."""

from asking import AUDIENCE, CLIENT_ID, CLIENT_SECRET, TOKEN_URL, answer
from authlib.integrations.requests_client import OAuth2Session

session = OAuth2Session(CLIENT_ID, CLIENT_SECRET, token_endpoint=TOKEN_URL, grant_type="client_credentials")


def token() -> str:
    """As `session.request` does before each request."""
    if session.token is None:
        session.fetch_token(audience=AUDIENCE)
    session.ensure_active_token(session.token)
    return session.token["access_token"]


answer(token)
