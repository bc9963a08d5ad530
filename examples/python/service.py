"""A small service that keeps a shared token: service.py CLIENT [AUDIENCE [SCOPE…]]

The server is the one that MINTONCE_TARGET and the other MINTONCE_… variables name. It prints one line for each token:
its generation and how long it lives, never its text. A line "reject" on stdin rejects the token, as after a 401 of an
API. It ends on Ctrl-C, or at the end of stdin.
"""

import sys
import threading

from mintonce import MintonceError, Token, TokenSource, Unavailable


def main() -> int:
    """The exit code."""
    if len(sys.argv) < 2:
        print("usage: service.py CLIENT [AUDIENCE [SCOPE…]]", file=sys.stderr)
        return 2
    client, audience, *scopes = [*sys.argv[1:], ""] if len(sys.argv) == 2 else sys.argv[1:]
    try:
        with TokenSource(client, audience, scopes, wait_for_server=60.0) as source:
            threading.Thread(target=follow, args=(source,), daemon=True).start()
            for line in sys.stdin:
                if line.strip() == "reject":
                    reject(source)
    except MintonceError as error:
        print(f"{error.message} ({error.reason}). {error.remedy}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def follow(source: TokenSource) -> None:
    """Until the source is closed."""
    token = source.get()
    say(token, "is here")
    while True:
        try:
            token = source.wait_until_updated(token, timeout=3600.0)
        except Unavailable:
            continue  # no other token within the hour
        except MintonceError:
            return
        say(token, "is here")


def reject(source: TokenSource) -> None:
    """As after a 401."""
    try:
        say(source.reject(source.get()), "replaces the rejected one")
    except MintonceError as error:
        print(f"not rejected: {error.message} ({error.reason}). {error.remedy}", file=sys.stderr)


def say(token: Token, what: str) -> None:
    """One line, in one piece: both threads say something."""
    print(f"generation {token.generation} {what}, {token.expires_in():.1f} s left\n", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
