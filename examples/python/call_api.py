"""Calls an API with a shared token: python call_api.py CLIENT AUDIENCE URL

The server's address is in MINTONCE_TARGET, as HOST:PORT. Install the client with `pip install mintonce`.
"""

import sys
import urllib.error
import urllib.request

from mintonce import MintonceError, Token, TokenSource


def call(url: str, token: Token) -> str:
    """The body of the API's answer."""
    request = urllib.request.Request(url, headers={"Authorization": token.header})
    with urllib.request.urlopen(request, timeout=10) as answer:
        body: bytes = answer.read()
    return body.decode()


def main(client: str, audience: str, url: str) -> int:
    """A service keeps one source for each key as long as it runs; reading it costs nothing."""
    with TokenSource(client, audience) as source:
        token = source.get()
        try:
            print(call(url, token))
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            # The API refused the token before its expiry. No caller in the fleet gets it any more.
            print(call(url, source.reject(token)))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:4]))
    except MintonceError as error:
        print(f"{error}\n{error.remedy}", file=sys.stderr)
        sys.exit(1)
