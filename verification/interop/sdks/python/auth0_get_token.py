"""auth0-python: GetToken, which sends JSON. It keeps no token."""

from asking import AUDIENCE, CLIENT_ID, CLIENT_SECRET, HOST, answer
from auth0.authentication import GetToken

client = GetToken(HOST, CLIENT_ID, client_secret=CLIENT_SECRET)
answer(lambda: client.client_credentials(AUDIENCE)["access_token"])
