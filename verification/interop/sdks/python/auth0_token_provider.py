"""auth0-python: the TokenProvider that its ManagementClient uses. https only."""

from asking import AUDIENCE, CLIENT_ID, CLIENT_SECRET, HOST, answer
from auth0.management.token_provider import TokenProvider

provider = TokenProvider(domain=HOST, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, audience=AUDIENCE)
answer(provider.get_token)
