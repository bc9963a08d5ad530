"""requests-auth: an auth of requests."""

from api import token_sent
from asking import AUDIENCE, CLIENT_ID, CLIENT_SECRET, TOKEN_URL, answer
from requests_auth import OAuth2ClientCredentials

auth = OAuth2ClientCredentials(TOKEN_URL, CLIENT_ID, CLIENT_SECRET, audience=AUDIENCE)
answer(lambda: token_sent(auth))
