"""requests-oauthlib: BackendApplicationClient. Its user fetches again on TokenExpiredError."""

from asking import AUDIENCE, CLIENT_ID, CLIENT_SECRET, TOKEN_URL, answer
from oauthlib.oauth2 import BackendApplicationClient, TokenExpiredError
from requests_oauthlib import OAuth2Session

client = BackendApplicationClient(CLIENT_ID)
session = OAuth2Session(client=client)


def token() -> str:
    """As `session.request` does before each request: `add_token` raises if the token has ended."""
    if not session.token:
        return fetched()
    try:
        client.add_token("https://api.example.com/")
    except TokenExpiredError:
        return fetched()
    return session.token["access_token"]


def fetched() -> str:
    """A new one from the token endpoint."""
    return session.fetch_token(TOKEN_URL, client_secret=CLIENT_SECRET, audience=AUDIENCE)["access_token"]


answer(token)
