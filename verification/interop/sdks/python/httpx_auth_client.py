"""httpx-auth: an auth of httpx."""

import httpx
from asking import AUDIENCE, CLIENT_ID, CLIENT_SECRET, TOKEN_URL, answer
from httpx_auth import OAuth2ClientCredentials

auth = OAuth2ClientCredentials(TOKEN_URL, CLIENT_ID, CLIENT_SECRET, audience=AUDIENCE)
# The API says which token it got. The auth asks for tokens with a client of its own.
api = httpx.Client(
    auth=auth, transport=httpx.MockTransport(lambda request: httpx.Response(200, text=request.headers["Authorization"]))
)
answer(lambda: api.get("https://api.example.com/").text.removeprefix("Bearer "))
