"""requests_oauth2client: an auth of requests."""

from api import token_sent
from asking import AUDIENCE, CLIENT_ID, CLIENT_SECRET, TOKEN_URL, answer
from requests_oauth2client import OAuth2Client, OAuth2ClientCredentialsAuth

client = OAuth2Client(TOKEN_URL, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
auth = OAuth2ClientCredentialsAuth(client, audience=AUDIENCE)
answer(lambda: token_sent(auth))
